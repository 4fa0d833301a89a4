"""The collector's gRPC server: its options, health, reflection, and graceful end."""

from __future__ import annotations

from collections.abc import Sequence

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from collector.server.http import port_unusable, require_tls
from collector.server.statuses import ErrorBorder
from tonnage.address import Place
from tonnage.binding import NotBound, bind
from tonnage.decoding import Decoding
from tonnage.tls import TlsFiles
from tonnage.v1 import collector_pb2, collector_pb2_grpc

_SERVICE = collector_pb2.DESCRIPTOR.services_by_name["CollectorService"].full_name
_OPTIONS = [
    # Two collectors on one port would share its calls at random.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 16 * 2**20),
    ("grpc.max_send_message_length", 256 * 2**20),
    # Who connects and never says who it is holds no descriptor for long.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Watchers and agents ping idle connections; without these they are cut off.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
]


class Listener:
    """Serves CollectorService; ``address`` is where, once started.

    With ``tls`` only those get in whose certificate its authorities made. ``inside`` are
    the interceptors between the error border and the methods, the outermost first.
    """

    def __init__(
        self,
        at: Place,
        tls: TlsFiles | None = None,
        inside: Sequence[aio.ServerInterceptor] = (),
    ) -> None:
        """Raises ``ConfigError`` for an address open to others without ``tls``."""
        require_tls("--listen", at, tls is not None)
        self.address = at
        self.serving = False
        self._tls = tls
        self._server = aio.server(
            interceptors=[ErrorBorder(), *inside, Decoding()], options=_OPTIONS
        )
        self._health = health.HealthServicer()

    async def start(self, servicer: collector_pb2_grpc.CollectorServiceServicer) -> None:
        """Listen; raises ``ConfigError`` when the port cannot be had."""
        collector_pb2_grpc.add_CollectorServiceServicer_to_server(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (_SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        self.address = self._bound()
        await self._server.start()
        await self._health.set(_SERVICE, health_pb2.HealthCheckResponse.SERVING)
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        self.serving = True

    def _bound(self) -> Place:
        try:
            return bind(self._server, self.address, self._tls)
        except NotBound as error:
            raise port_unusable("--listen", self.address, str(error)) from error

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls, and give those that are open their time."""
        self.serving = False
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)
