"""An agent whose outbox or disk is full."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest

from tests.integration.agents import Agent, agent, finished, payloads, plan, startup, target
from tonnage.model import Notice, Outcome, ProblemKind, RunState, Trial, TrialEnd
from tonnage.v1 import agent_pb2

FEW = "30000"  # bytes a file may have: about a hundred events


async def scrape(host: Agent) -> str:
    def read() -> str:
        with urlopen(f"http://{host.metrics}/metrics") as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(read)


async def full(host: Agent) -> None:
    """Wait until launching pauses."""
    while "tonnage_agent_spool_full 1.0" not in await scrape(host):
        pass


async def test_a_spool_at_its_cap_ends_the_run_and_keeps_what_it_has(tmp_path: Path) -> None:
    caps = ("--spool-cap-bytes", str(1 << 20), "--spool-patience-seconds", "0.2")
    long = target("fake:ok", "x" * 2000)
    async with agent(tmp_path, *caps) as host:
        whole = plan(startup(10_000, concurrency=4, of=long.id), targets=[long])
        events = await host.run(whole)
        end = finished(events)
        assert end.state is RunState.PARTIAL
        assert end.problem is not None
        assert end.problem.kind is ProblemKind.GUARD
        assert "the spool holds" in str(end.problem)
        assert len(payloads(events, TrialEnd)) == len(payloads(events, Trial)) > 100
        # Acknowledged, it makes room for the next run at once.
        ack = agent_pb2.AckEventsRequest(run_id="run-1", sequence=len(events))
        await host.stub.AckEvents(ack)
        again = await host.run(plan(startup(2), run_id="run-2"))
        assert finished(again).state is RunState.FINISHED


async def test_a_full_disk_pauses_launching_until_there_is_room(tmp_path: Path) -> None:
    limited = ("prlimit", f"--fsize={FEW}:unlimited")
    async with agent(tmp_path, before=limited) as host:
        await host.start(plan(startup(400)))
        await full(host)
        reader = host.stream("run-1")
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, unlimited)
        events = [event async for event in reader]
        assert (finished(events).state, len(payloads(events, Trial))) == (RunState.FINISHED, 400)
        assert any("launching paused" in n.message for n in payloads(events, Notice))
        assert "tonnage_agent_spool_full 0.0" in await scrape(host)


async def test_a_disk_that_stays_full_ends_the_run_with_what_it_has(tmp_path: Path) -> None:
    limited = ("prlimit", f"--fsize={FEW}")
    async with agent(tmp_path, "--spool-patience-seconds", "0.2", before=limited) as host:
        await host.start(plan(startup(400)))
        events = await host.events("run-1")
        end = finished(events)
        assert end.state is RunState.PARTIAL
        assert end.problem is not None
        assert "still there is no room" in str(end.problem)
        assert not str(end.problem).endswith("..")
        assert 0 < len(payloads(events, Trial)) < 400
        assert len(payloads(events, TrialEnd)) == len(payloads(events, Trial))
        assert await host.instances() == []
        assert await host.stop() == 0
    async with agent(tmp_path) as again:
        assert await again.events("run-1") == events


async def test_a_run_that_goes_on_waits_for_room_first(tmp_path: Path) -> None:
    whole = plan(startup(60), targets=[target(FAKE_DURABLE="1", FAKE_READY_MS="3")])
    async with agent(tmp_path) as first:
        await first.start(whole)
        await first.until("run-1", Trial, 20)
        await first.kill()
    sizes = [path.stat().st_size for path in (tmp_path / "spool/run-1").iterdir()]
    limited = ("prlimit", f"--fsize={min(sizes)}:unlimited")
    async with agent(tmp_path, before=limited) as second:
        before = await second.instances()
        await full(second)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await second.start(plan(startup(1), run_id="run-2"))
        assert refused.value.code() is grpc.StatusCode.ABORTED  # run-1 waits, it is not given up
        assert before == await second.instances() == []
        assert list((tmp_path / "runtimes/fake").glob("*.json")) == []
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(second.process.pid, resource.RLIMIT_FSIZE, unlimited)
        events = await second.events("run-1")
    assert finished(events).state is RunState.FINISHED
    ready = [t.trial_id for t in payloads(events, Trial) if t.outcome is Outcome.READY]
    assert len(ready) == len(set(ready)) == 60


async def test_a_plan_that_cannot_be_kept_is_refused_and_can_be_sent_again(tmp_path: Path) -> None:
    limited = ("prlimit", "--fsize=40:unlimited")
    async with agent(tmp_path, before=limited) as host:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await host.start(plan(startup(2)))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, unlimited)
        assert finished(await host.run(plan(startup(2)))).state is RunState.FINISHED
