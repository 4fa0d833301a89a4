"""The agent's gRPC server: its options, health, reflection, and graceful end."""

from __future__ import annotations

from collections.abc import Container

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from agent.access import Gate
from agent.errors import ConfigError
from agent.server import AgentServicer
from tonnage.address import Place
from tonnage.binding import NotBound, bind
from tonnage.decoding import Decoding
from tonnage.tls import TlsFiles
from tonnage.v1 import agent_pb2, agent_pb2_grpc

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # else a second agent takes half of the calls in silence
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 16 << 20),
    # Who connects and never says who it is holds no descriptor for long.
    ("grpc.server_handshake_timeout_ms", 10_000),
)
_SERVICE = agent_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name


class Listener:
    """The gRPC server with health and reflection; with mutual TLS where ``files`` are given."""

    def __init__(
        self, servicer: AgentServicer, files: TlsFiles | None, revoked: Container[str]
    ) -> None:
        gate = Gate(files is not None, revoked)
        self._files = files
        self._server = grpc.aio.server(interceptors=(gate, Decoding()), options=_OPTIONS)
        self._health = health.aio.HealthServicer()
        agent_pb2_grpc.add_AgentServiceServicer_to_server(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    def bind(self, at: Place) -> Place:
        """Take the address, and answer nobody yet; returns it with its real port.

        Raises ``ConfigError``.
        """
        try:
            return bind(self._server, at, self._files)
        except NotBound as error:
            raise ConfigError(
                f"cannot be listened on: {error}",
                field="listen",
                value=str(at),
                remedy=at.another("--listen"),
            ) from error

    async def start(self) -> None:
        """Answer, those too who have asked since it was bound."""
        await self._server.start()
        for name in ("", _SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def leave(self) -> None:
        """Tell health watchers that no new work is taken."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_seconds: float) -> None:
        """End; streams may go on until they are done, or for the grace."""
        await self._server.stop(grace_seconds)
