"""The collector's way to an agent over mutual TLS, and what happens to open calls when it
is renewed or shut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpc import aio

from collector.agents import Agent
from collector.errors import Unreachable
from tests.integration.scripted_agent import Context
from tests.pki import Authority
from tonnage.identity import Role
from tonnage.tls import server_credentials
from tonnage.v1 import agent_pb2 as pb
from tonnage.v1 import agent_pb2_grpc


class _Endless(agent_pb2_grpc.AgentServiceServicer):
    """Streams one batch and then no more; never describes itself."""

    async def StreamEvents(
        self, request: pb.StreamEventsRequest, context: Context
    ) -> AsyncIterator[pb.StreamEventsResponse]:
        yield pb.StreamEventsResponse()
        await asyncio.Event().wait()

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeResponse:
        await asyncio.Event().wait()
        return pb.DescribeResponse()


@asynccontextmanager
async def _called(authority: Authority) -> AsyncIterator[Agent]:
    server = aio.server()
    agent_pb2_grpc.add_AgentServiceServicer_to_server(_Endless(), server)  # type: ignore[abstract]
    own = authority.issue(Role.AGENT, "h1")
    port = server.add_secure_port("127.0.0.1:0", server_credentials(own))
    await server.start()
    agent = Agent("h1", f"127.0.0.1:{port}", authority.issue(Role.COLLECTOR, "collector"))
    try:
        yield agent
    finally:
        await agent.close()
        await server.stop(0)


async def _opened(agent: Agent) -> list[asyncio.Task[object]]:
    """A stream that has begun and a call that waits, each in a task of its own."""
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in agent.events("r", 0):
            begun.set()

    stream: asyncio.Task[object] = asyncio.create_task(read())
    call: asyncio.Task[object] = asyncio.create_task(agent.describe(refresh=False))
    await asyncio.wait_for(begun.wait(), 10)
    return [stream, call]


async def test_calls_that_outlive_their_certificate_end_as_unreachable_and_go_on_anew(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    async with _called(authority) as agent:
        open_calls = await _opened(agent)
        authority.issue(Role.COLLECTOR, "collector")
        await agent.connected()
        again = await _opened(agent)
        assert not any(task.done() for task in open_calls)  # once renewed: both go on
        authority.issue(Role.COLLECTOR, "collector")
        await agent.connected()
        for task in open_calls:
            with pytest.raises(Unreachable, match="let go of"):
                await asyncio.wait_for(task, 10)
        assert not any(task.done() for task in again)
        await agent.bar()
        for task in again:
            with pytest.raises(Unreachable, match="let go of"):
                await asyncio.wait_for(task, 10)
        with pytest.raises(Unreachable, match="revoked"):
            await agent.instances()
        agent.barred = False
        for task in await _opened(agent):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
