"""The SDK's connections, mended in three places.

The SDK (7.1) keeps one pool for each URL, path and query included, so that
every call about a new container opens a new connection to the engine; here
there is one pool. It forgets to close a socket that could not connect. And to learn
which API an engine speaks it asks for all versions, for which Podman asks the
package manager: here a ping tells.
"""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import Any

from docker.api.client import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.transport.unixconn import (
    UnixHTTPAdapter,
    UnixHTTPConnection,
    UnixHTTPConnectionPool,
)
from docker.utils import version_lt

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


def api_version(path: Path, timeout_seconds: float) -> str:
    """The newest API version that the engine on this socket and the SDK both know.

    Raises ``OSError`` if nothing listens, or what listens is no engine.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_seconds)
        connection.connect(str(path))
        asking = http.client.HTTPConnection("localhost")
        asking.sock = connection
        try:
            asking.request("GET", "/_ping", headers={"Connection": "close"})
            told = asking.getresponse().headers.get("Api-Version")
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP is spoken there: {error!r}") from error
    if not told:
        raise OSError("no engine of Docker's API answers there")
    return told if version_lt(told, DEFAULT_DOCKER_API_VERSION) else DEFAULT_DOCKER_API_VERSION


def connect(url: str, timeout_seconds: int, pool_size: int) -> APIClient:
    """A client on a Unix socket, with the newest API version that both sides know.

    Raises what the SDK raises, and ``OSError`` if no engine listens.
    """
    path = url.removeprefix("unix://")
    version = api_version(Path(path), timeout_seconds)
    client = APIClient(base_url=url, version=version, timeout=timeout_seconds)
    client.mount(_SCHEME, _Adapter(f"http+unix://{path}", timeout_seconds, pool_size))
    client.trust_env = False  # no look for proxies and .netrc on every call
    return client
