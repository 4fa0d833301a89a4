"""Hosts at a real collector: they register, are chosen, waited for, drained, forgotten."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from collector.client import Client
from collector.errors import InvalidInput
from tests.integration.collector_process import CollectorProcess, collector_process
from tests.integration.scripted_agent import ScriptedAgent
from tests.runs_made_up import facts, fingerprint, whole_run
from tonnage import PROTOCOL, __version__, wire
from tonnage.model import RunState
from tonnage.v1 import collector_pb2 as pb
from tonnage.v1 import collector_pb2_grpc

_TRIALS = 10


def _spec(hosts: Any) -> str:
    return json.dumps(
        {
            "name": "a-test",
            "workload": {"image": "tonnage/idle:1", "readiness": {"log": "TONNAGE READY"}},
            "targets": [{"runtime": "fake"}],
            "startup": {"trials": _TRIALS},
            "hosts": hosts,
        }
    )


async def _register(at: str, agent: ScriptedAgent, **changes: Any) -> pb.RegisterResponse:
    values: dict[str, Any] = {
        "facts": wire.to_message(facts(agent.host, f"id-{agent.host}")),
        "address": agent.address,
        "metrics_address": "127.0.0.1:9",
        "protocol": PROTOCOL,
        "runtimes": [wire.to_message(fingerprint())],
    }
    async with aio.insecure_channel(at) as channel:
        stub = collector_pb2_grpc.CollectorServiceStub(channel)
        request = pb.RegisterRequest(**{**values, **changes})
        answer: pb.RegisterResponse = await stub.Register(request, timeout=10, wait_for_ready=True)
        return answer


@pytest.fixture
async def collector(tmp_path: Path) -> AsyncIterator[CollectorProcess]:
    async with collector_process(tmp_path) as process:
        yield process


@pytest.fixture
async def agents() -> AsyncIterator[list[ScriptedAgent]]:
    async with AsyncExitStack() as stack:
        made = [ScriptedAgent(name, whole_run(_TRIALS, name)) for name in ("h1", "h2", "h3")]
        yield [await stack.enter_async_context(agent) for agent in made]


async def _end(client: Client, run_id: str) -> RunState:
    async for progress in client.watch(run_id):
        last = progress
    return last.state


async def test_a_protocol_that_does_not_fit_is_refused_by_its_status(
    collector: CollectorProcess, agents: list[ScriptedAgent]
) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await _register(collector.address, agents[0], protocol=PROTOCOL + 1, facts=None)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert f"speaks protocol {PROTOCOL + 1}" in str(refused.value.details())
    answer = await _register(collector.address, agents[0])
    assert answer.collector_version == __version__


async def test_a_run_waits_for_as_many_hosts_as_it_expects(
    collector: CollectorProcess, agents: list[ScriptedAgent]
) -> None:
    await _register(collector.address, agents[0])
    async with Client(collector.address) as client:
        spec = _spec({"where": "'fake' in runtimes", "expect": 2, "wait": "60s", "barrier": "0s"})
        submitting = asyncio.create_task(client.submit(spec, wait_seconds=60))
        with pytest.raises(InvalidInput, match="1 of 2 hosts can take part: h1"):
            await client.submit(_spec({"expect": 2}))
        assert not submitting.done()
        await _register(collector.address, agents[1])
        run_id = await asyncio.wait_for(submitting, 20)
        (listed,) = await client.runs()
        assert listed.hosts == ("h1", "h2")
        assert await _end(client, run_id) is RunState.FINISHED
        assert {plan.release_within_seconds for plan in agents[0].plans} == {0.0}


async def test_waiting_that_ends_names_who_is_missing(
    collector: CollectorProcess, agents: list[ScriptedAgent]
) -> None:
    await _register(collector.address, agents[0])
    async with Client(collector.address) as client:
        spec = _spec({"names": ["h1", "h2"], "wait": "300ms"})
        with pytest.raises(InvalidInput, match="host h2 has not registered"):
            await client.submit(spec)
        assert await client.runs() == ()


async def test_a_drained_host_takes_no_run_even_after_a_restart(
    tmp_path: Path, agents: list[ScriptedAgent]
) -> None:
    async with collector_process(tmp_path) as first, Client(first.address) as client:
        for agent in agents[:2]:
            await _register(first.address, agent)
        assert await client.drain("h2") == ""
        with pytest.raises(InvalidInput, match="h2 is draining"):
            await client.submit(_spec(["h2"]))
        with pytest.raises(InvalidInput, match="no host of this name"):
            await client.drain("h9")
        await first.kill()
        async with collector_process(tmp_path, listen=first.address) as second:
            states = {host.facts.host: host.state for host in await client.hosts()}
            assert states == {"h1": "suspect", "h2": "suspect"}
            await _register(second.address, agents[1])
            assert (await client.inventory()).hosts[1].state == "draining"
            await client.drain("h2", undo=True)
            assert await _end(client, await client.submit(_spec(["h2"]))) is RunState.FINISHED


async def test_a_silent_host_becomes_lost_and_can_be_forgotten(
    tmp_path: Path, agents: list[ScriptedAgent]
) -> None:
    flags = ("--lease", "0.4", "--lost-after", "0.8")
    async with collector_process(tmp_path, *flags) as served, Client(served.address) as client:
        await _register(served.address, agents[0])
        with pytest.raises(InvalidInput, match="its agent would register again"):
            await client.forget("h1")
        seen: list[str] = []
        async with asyncio.timeout(20):
            while "lost" not in seen:
                (host,) = await client.hosts()
                seen.append(host.state)
        assert list(dict.fromkeys(seen))[-2:] == ["suspect", "lost"]
        assert await _found(served.http) == []
        await client.forget("h1")
        assert await client.hosts() == ()


async def test_prometheus_finds_the_agents(
    collector: CollectorProcess, agents: list[ScriptedAgent]
) -> None:
    assert await _found(collector.http) == []
    await _register(collector.address, agents[0], metrics_tls=True)
    (group,) = await _found(collector.http)
    assert group["targets"] == ["127.0.0.1:9"]
    assert group["labels"]["__scheme__"] == "https"
    assert group["labels"]["__meta_tonnage_label_rack"] == "r7"


async def _found(http: str) -> Any:
    def fetch() -> Any:
        with urllib.request.urlopen(f"http://{http}/sd/prometheus", timeout=10) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            return json.load(answer)

    return await asyncio.to_thread(fetch)
