"""The HTTP pages, in a thread of their own: a scrape never holds up a run."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from collector.errors import ConfigError
from collector.server.door import Door
from tonnage.address import Address, Place

_JOIN_SECONDS = 5.0
_BACKLOG = 128
_CONNECTIONS_MOST = 500
_FROM_ONE_MOST = 100
_CONNECTION_SECONDS = 60.0

Page = Callable[[Request], Response]


def application(
    registry: CollectorRegistry,
    serving: Callable[[], bool],
    door: Door | None = None,
    pages: Mapping[str, Page] | None = None,
) -> Starlette:
    """The pages; ``serving`` says whether the collector takes work.

    ``/metrics`` and the further ``pages``, by path, are behind the ``door``'s token.
    """

    def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    def healthz(_: Request) -> Response:
        if serving():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("draining\n", status_code=503)

    behind = {"/metrics": metrics, **(pages or {})}
    routes = [Route(path, door.guarded(page) if door else page) for path, page in behind.items()]
    return Starlette(routes=[*routes, Route("/healthz", healthz), *(door.routes() if door else [])])


class _Bounded(H11Protocol):
    """A connection that ends in time, whether it says anything or not, so that strangers who
    hold many keep nobody out for long; and not too many of one address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See ``asyncio.Protocol``."""
        super().connection_made(transport)
        self._over = self.loop.call_later(_CONNECTION_SECONDS, self.shutdown)
        mine = self.client[0] if self.client else None
        ours = [each for each in self.connections if isinstance(each, _Bounded)]
        others = sum(each.client is not None and each.client[0] == mine for each in ours)
        if others > _FROM_ONE_MOST:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._over.cancel()
        super().connection_lost(exc)


class HttpServer:
    """Serves ``app`` while it is entered; ``address`` is where. With ``tls`` alone, if given."""

    def __init__(self, app: Starlette, at: Address, tls: ssl.SSLContext | None = None) -> None:
        """Binds at once; raises ``ConfigError`` when the port cannot be had, or is open to
        other hosts without ``tls``."""
        require_tls("--http", at, tls is not None)
        self._socket = _bound(at)
        host, port = self._socket.getsockname()[:2]
        self.address = Address(host, port)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http=_Bounded,
            timeout_graceful_shutdown=1,
            limit_concurrency=_CONNECTIONS_MOST,
            server_header=False,
            # Nobody but the peer itself says where a request comes from.
            proxy_headers=False,
        )
        config.load()
        config.ssl = tls  # a context that reads its files again; uvicorn's own would not
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="http", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_JOIN_SECONDS)
        self._socket.close()


def _bound(at: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((at.host, at.port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise port_unusable("--http", at, error.strerror or str(error)) from error
    return bound


def require_tls(flag: str, at: Place, has_tls: bool) -> None:
    """Raise ``ConfigError`` for an address that others reach and anyone may speak to."""
    if not at.private and not has_tls:
        raise ConfigError(
            "is not a loopback address, and without TLS nobody else may be served",
            field=flag,
            value=str(at),
            remedy="Make certificates with tonnage pki init and name their folder by --tls-dir.",
        )


def port_unusable(flag: str, at: Place, why: str) -> ConfigError:
    """The error for a port, or a socket, that cannot be served on."""
    return ConfigError(
        f"cannot listen there: {why}", field=flag, value=str(at), remedy=at.another(flag)
    )
