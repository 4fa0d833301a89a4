"""What is said of an agent that does not answer."""

import socket

import pytest

from collector.agents import Agent
from collector.errors import Unreachable


async def test_the_reason_is_told_without_what_grpc_says_before_it() -> None:
    with socket.socket() as unserved:
        unserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unserved.getsockname()[1]}"
        agent = Agent("h1", address)
        try:
            with pytest.raises(Unreachable) as caught:
                await agent.describe(refresh=False)
        finally:
            await agent.close()
    told = caught.value.problem.message
    assert told.startswith(f"the agent of host h1 at {address} does not answer: ")
    assert told.endswith("Connection refused")
    assert "all addresses" not in told
    assert told.count(address) == 1
