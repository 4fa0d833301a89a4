"""The SDK's connections, mended in two places.

The SDK (7.1) keeps one pool for each URL, path and query included, so that
every call about a new container opens a new connection to the engine; here
there is one pool. And it forgets to close a socket that could not connect.
"""

from __future__ import annotations

import socket
from typing import Any

from docker.api.client import APIClient
from docker.transport.unixconn import (
    UnixHTTPAdapter,
    UnixHTTPConnection,
    UnixHTTPConnectionPool,
)

_SCHEME = "http+docker://"


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            connection.connect(self.unix_socket)
        except BaseException:
            connection.close()
            raise
        self.sock = connection


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:  # the stubs make it a connection of another family
        timeout: Any = self.timeout
        return _Connection(self.base_url, self.socket_path, timeout)


class _Adapter(UnixHTTPAdapter):
    """One pool for all calls."""

    def __init__(self, socket_url: str, timeout_seconds: int, pool_size: int) -> None:
        super().__init__(socket_url, timeout_seconds, max_pool_size=pool_size)
        self._pool = _Pool(_SCHEME, self.socket_path, timeout_seconds, maxsize=pool_size)

    def get_connection(self, url: object, proxies: object = None) -> _Pool:
        del url, proxies
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()


def connect(url: str, timeout_seconds: int, pool_size: int) -> APIClient:
    """A client on a Unix socket, with the newest API version that both sides know.

    Raises what the SDK raises, and ``OSError`` if nothing listens.
    """
    path = url.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as trial:
        trial.settimeout(timeout_seconds)
        trial.connect(path)
    client = APIClient(base_url=url, version="auto", timeout=timeout_seconds)
    client.mount(_SCHEME, _Adapter(f"http+unix://{path}", timeout_seconds, pool_size))
    client.trust_env = False  # no look for proxies and .netrc on every call
    return client
