"""An agent and a collector that comes, goes and comes back."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import grpc

from tests.integration.agents import agent
from tonnage.tls import TlsFiles, server_credentials
from tonnage.v1 import collector_pb2


class Register:
    """A collector that knows one call."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self.revoked: list[str] = []
        self.refusal = ""
        self.calls: asyncio.Queue[collector_pb2.RegisterRequest] = asyncio.Queue()

    async def register(
        self, request: collector_pb2.RegisterRequest, context: Any
    ) -> collector_pb2.RegisterResponse:
        """Note the call."""
        self.calls.put_nowait(request)
        if self.refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, self.refusal)
        return collector_pb2.RegisterResponse(
            lease_seconds=self._lease_seconds,
            collector_pid=os.getpid(),
            collector_boot_id=request.facts.boot_id,
            revoked_serials=self.revoked,
        )


async def serve(
    servicer: Register, port: int = 0, *, files: TlsFiles | None = None
) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(
        servicer.register,
        collector_pb2.RegisterRequest.FromString,
        collector_pb2.RegisterResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler(
        "tonnage.v1.CollectorService", {"Register": handler}
    )
    server.add_generic_rpc_handlers((service,))
    at = f"127.0.0.1:{port}"
    if files is None:
        bound = server.add_insecure_port(at)
    else:
        bound = server.add_secure_port(at, server_credentials(files))
    await server.start()
    return server, bound


async def test_it_registers_and_renews_before_the_lease_ends(tmp_path: Path) -> None:
    collector = Register(lease_seconds=0.6)
    server, port = await serve(collector)
    async with agent(tmp_path, "--collector", f"127.0.0.1:{port}") as host:
        first = await collector.calls.get()
        assert first.facts.host == "h1"
        assert (first.address, first.metrics_address) == (host.address, host.metrics)
        assert [found.runtime for found in first.runtimes] == ["fake"]
        async with asyncio.timeout(5):
            for _ in range(3):
                assert (await collector.calls.get()).address == host.address
        assert await host.stop() == 0
    await server.stop(0)


async def test_it_waits_for_a_collector_that_is_down(tmp_path: Path) -> None:
    collector = Register(lease_seconds=0.3)
    server, port = await serve(collector)
    await server.stop(0)
    async with agent(tmp_path, "--collector", f"127.0.0.1:{port}") as host:
        server, _ = await serve(collector, port)
        async with asyncio.timeout(20):
            await collector.calls.get()
        await server.stop(0)
        server, _ = await serve(collector, port)  # gone and back: registered again
        while not collector.calls.empty():
            collector.calls.get_nowait()
        async with asyncio.timeout(20):
            await collector.calls.get()
        assert await host.stop() == 0
    await server.stop(0)
