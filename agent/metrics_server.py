"""Serves /metrics in threads of its own, never on the event loop: plain on loopback,
elsewhere with TLS and to whom shows a bearer token that the collector told of."""

from __future__ import annotations

import hashlib
import hmac
import socket
import socketserver
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from agent.errors import ConfigError
from tonnage.address import Address
from tonnage.tls import TlsFiles, https_context

_CLIENT_SECONDS = 10.0
_REQUEST_SECONDS = 30.0
_MOST_CLIENTS = 32
_REALM = 'Bearer realm="tonnage"'

_log = structlog.get_logger("agent.metrics")

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class MetricsServer:
    """The endpoint. ``tokens_sha256`` are hexadecimal digests, looked at for each request,
    and only where there is TLS."""

    def __init__(
        self,
        registry: CollectorRegistry,
        at: Address,
        files: TlsFiles | None = None,
        tokens_sha256: Iterable[str] = (),
    ) -> None:
        """Listen. Raises ``ConfigError`` when the port cannot be had."""
        app: App = make_wsgi_app(registry)
        context = https_context(files) if files else None
        try:
            self._server = _Server(at, context)
        except OSError as error:
            raise ConfigError(
                f"cannot be listened on: {error.strerror}",
                field="metrics",
                value=str(at),
                remedy=at.another("--metrics"),
            ) from error
        self._server.set_app(_behind_token(app, tokens_sha256) if files else app)
        self.address = Address(at.host, self._server.server_port)
        self._thread = Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; blocking, for half a second at most."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _behind_token(app: App, tokens_sha256: Iterable[str]) -> App:
    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if _allowed(str(environ.get("HTTP_AUTHORIZATION", "")), tokens_sha256):
            return app(environ, start_response)
        headers = [("WWW-Authenticate", _REALM), ("Content-Type", "text/plain; charset=utf-8")]
        start_response("401 Unauthorized", headers)
        return [b"Needs the fleet's scrape token: Authorization: Bearer TOKEN.\n"]

    return guarded


def _allowed(authorization: str, tokens_sha256: Iterable[str]) -> bool:
    """Whether a header shows a token of one of these digests; compared in constant time."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return False
    shown = hashlib.sha256(token.strip().encode("latin-1")).hexdigest()
    return any(hmac.compare_digest(shown, known) for known in tokens_sha256)


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread a request, so many at once and no more. A client that dawdles is let go: it
    has ``_CLIENT_SECONDS`` for each word, and ``_REQUEST_SECONDS`` for all of them."""

    daemon_threads = True

    def __init__(self, at: Address, context: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
        self._context = context
        self._free = BoundedSemaphore(_MOST_CLIENTS)
        self._begun: dict[socket.socket, float] = {}
        super().__init__((at.host, at.port), _Handler)

    def server_bind(self) -> None:
        """Bind without the reverse look-up of HTTPServer, which may hang."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve in a thread, if one is free."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands here and not where connections are accepted."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer one request, over TLS where there is a context."""
        request.settimeout(_CLIENT_SECONDS)
        if self._context is None:
            with self._timed(request):
                super().finish_request(request, client_address)
            return
        with (
            self._context.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            ) as secured,
            self._timed(secured),
        ):
            secured.do_handshake()
            super().finish_request(secured, client_address)

    @contextmanager
    def _timed(self, request: socket.socket) -> Iterator[None]:
        self._begun[request] = time.monotonic()
        try:
            yield
        finally:
            self._begun.pop(request, None)

    def service_actions(self) -> None:
        """Called twice a second: end the requests whose time is over."""
        latest = time.monotonic() - _REQUEST_SECONDS
        for request, begun in list(self._begun.items()):
            if begun < latest:
                with suppress(OSError):  # it went by itself
                    socket.socket.shutdown(request, socket.SHUT_RDWR)

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """A client that fails to shake hands, or goes away, is no error of ours."""
        _log.debug("a client was lost", peer=str(client_address), exc_info=True)


class _Handler(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the library's word)
        """Nothing."""
