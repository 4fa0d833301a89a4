"""The conductor over real gRPC: every row once, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collector.errors import StoreError
from collector.model import HostRun
from tests.integration.scripted_agent import ScriptedAgent
from tests.integration.stand import TRIALS, Stand
from tests.runs_made_up import plan, run, whole_run
from tonnage.model import ProblemKind, RunState


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with Stand(tmp_path) as made:
        yield made


@pytest.fixture
async def agent() -> AsyncIterator[ScriptedAgent]:
    async with ScriptedAgent("h1", whole_run(TRIALS)) as made:
        yield made


@pytest.fixture
async def other() -> AsyncIterator[ScriptedAgent]:
    async with ScriptedAgent("h2", whole_run(TRIALS, "h2")) as made:
        yield made


async def test_a_run_over_two_hosts_ends_finished(
    stand: Stand, agent: ScriptedAgent, other: ScriptedAgent
) -> None:
    await stand.submit(agent, other)
    found = await stand.ended()
    assert (found.state, found.problem) == (RunState.FINISHED, None)
    assert found.finished_at_unix_ns is not None
    for host in (agent, other):
        assert await stand.numbers(host.host) == list(range(TRIALS))
        assert host.acked == len(host.events)
    assert agent.plans == [plan("r1", TRIALS, 60.0)]


async def test_a_cut_in_the_middle_loses_and_doubles_nothing(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.cuts = [10, 11, 40]
    await stand.submit(agent)
    assert (await stand.ended()).state is RunState.FINISHED
    assert await stand.numbers() == list(range(TRIALS))
    assert agent.streams == [0, 10, 11, 40]
    assert len(agent.plans) == 1


async def test_batches_sent_again_are_stored_once(stand: Stand, agent: ScriptedAgent) -> None:
    agent.cuts, agent.resend = [20, 30], 9
    await stand.submit(agent)
    assert (await stand.ended()).state is RunState.FINISHED
    assert await stand.numbers() == list(range(TRIALS))


async def test_a_batch_lost_on_its_way_is_asked_for_again(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.skip = {20, 21, 22}
    await stand.submit(agent)
    assert (await stand.ended()).state is RunState.FINISHED
    assert await stand.numbers() == list(range(TRIALS))


async def test_a_hole_in_the_events_ends_partial_and_names_it(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.skip, agent.skips_for_ever = {21, 22}, True
    await stand.submit(agent)
    found = await stand.ended()
    assert found.state is RunState.PARTIAL
    assert "events 21 to 22 are missing" in str(found.problem)
    assert agent.cancelled.is_set()


async def test_an_agent_that_dies_and_returns_is_taken_up_again(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.holds = {30: asyncio.Event()}
    await stand.submit(agent)
    await stand.until_ready(10)
    await agent.die()
    agent.holds[30].set()
    await agent.start()
    assert (await stand.ended()).state is RunState.FINISHED
    assert await stand.numbers() == list(range(TRIALS))


async def test_an_agent_that_stays_dead_ends_the_run_partial(
    stand: Stand, agent: ScriptedAgent, other: ScriptedAgent
) -> None:
    agent.holds = {30: asyncio.Event()}
    await stand.submit(agent, other)
    await stand.until_ready(10)
    await agent.die()
    found = await stand.ended()
    assert found.state is RunState.PARTIAL
    assert found.problem is not None
    assert found.problem.kind is ProblemKind.UNAVAILABLE
    assert "h1" in found.problem.message
    lost, finished = await stand.store.host_runs("r1")
    assert (lost.state, finished.state) == (RunState.PARTIAL, RunState.FINISHED)
    assert await stand.numbers() == list(range(13))
    assert await stand.numbers("h2") == list(range(TRIALS))


async def test_a_host_that_never_answers_fails(stand: Stand, agent: ScriptedAgent) -> None:
    await agent.die()
    await stand.submit(agent)
    found = await stand.ended()
    assert found.state is RunState.FAILED
    assert "does not answer" in str(found.problem)


async def test_a_plan_that_the_agent_refuses_fails_with_its_words(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.refusal = "targets[0].image: no such image"
    await stand.submit(agent)
    found = await stand.ended()
    assert found.state is RunState.FAILED
    assert "no such image" in str(found.problem)


async def test_an_agent_that_forgot_the_run_ends_it(stand: Stand, agent: ScriptedAgent) -> None:
    agent.forgets_runs = True
    await stand.submit(agent)
    found = await stand.ended()
    assert found.state is RunState.FAILED
    assert "no such run" in str(found.problem)


async def test_a_busy_agent_is_waited_for(stand: Stand, agent: ScriptedAgent) -> None:
    agent.busy = 3
    await stand.submit(agent)
    assert (await stand.ended()).state is RunState.FINISHED


async def test_an_agent_that_stays_busy_fails_the_run(stand: Stand, agent: ScriptedAgent) -> None:
    agent.busy = 10**6
    await stand.submit(agent)
    found = await stand.ended()
    assert found.state is RunState.FAILED
    assert "another run is active" in str(found.problem)


async def test_a_host_that_outlives_its_time_limit_is_cancelled(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.holds = {30: asyncio.Event()}
    await stand.submit(agent, time_limit_seconds=0.2)
    found = await stand.ended()
    assert found.state is RunState.PARTIAL
    assert "time limit" in str(found.problem)
    assert agent.cancelled.is_set()


async def test_a_cancelled_run_keeps_what_was_measured(stand: Stand, agent: ScriptedAgent) -> None:
    agent.holds = {30: asyncio.Event()}
    await stand.submit(agent)
    await stand.until_ready(10)
    told = await stand.conductor.cancel("r1")
    assert (told.reached, told.unreached) == (("h1",), ())
    assert (await stand.ended()).state is RunState.CANCELLED
    assert await stand.numbers() == list(range(13))


async def test_cancelling_names_the_host_that_cannot_be_reached(
    stand: Stand, agent: ScriptedAgent, other: ScriptedAgent
) -> None:
    agent.holds, other.holds = {30: asyncio.Event()}, {30: asyncio.Event()}
    await stand.submit(agent, other)
    await stand.until_ready(10)
    await agent.die()
    told = await stand.conductor.cancel("r1")
    assert (told.reached, told.unreached) == (("h2",), ("h1",))
    found = await stand.ended()
    assert found.state is RunState.CANCELLED
    assert "h1" in str(found.problem)
    states = [host.state for host in await stand.store.host_runs("r1")]
    assert states == [RunState.PARTIAL, RunState.CANCELLED]


async def test_a_host_that_was_away_is_cancelled_when_it_returns(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.holds = {30: asyncio.Event()}
    await stand.submit(agent)
    await stand.until_ready(10)
    await agent.die()
    assert (await stand.conductor.cancel("r1")).unreached == ("h1",)
    await agent.start()
    assert (await stand.ended()).state is RunState.CANCELLED
    assert agent.cancelled.is_set()


async def test_a_run_that_waits_for_its_host_is_cancelled_at_once(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.holds = {30: asyncio.Event()}
    await stand.submit(agent)
    await stand.until_ready(10)
    waiting = HostRun("r2", agent.host, agent.address, plan("r2"))
    await stand.conductor.submit(run("r2"), [waiting])
    assert (await stand.conductor.cancel("r2")).reached == ("h1",)
    states = [progress.state async for progress in stand.conductor.watch("r2")]
    assert states[-1] is RunState.CANCELLED
    assert len(agent.plans) == 1
    agent.holds[30].set()
    assert (await stand.ended()).state is RunState.FINISHED


async def test_a_cancellation_outlives_the_collector(tmp_path: Path, agent: ScriptedAgent) -> None:
    agent.holds = {30: asyncio.Event()}
    stand = Stand(tmp_path)
    async with stand:
        await stand.submit(agent)
        await stand.until_ready(10)
        await agent.die()
        assert (await stand.conductor.cancel("r1")).unreached == ("h1",)
    await agent.start()
    async with stand:
        assert (await stand.ended()).state is RunState.CANCELLED
        assert agent.cancelled.is_set()
        assert await stand.numbers() == list(range(13))


async def test_a_plan_whose_taking_was_never_answered_is_cancelled_too(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.holds = {1: asyncio.Event()}
    agent.loses_answers = 1
    await stand.submit(agent)
    async with asyncio.timeout(5):
        await agent.taken.wait()
    await stand.conductor.cancel("r1")
    assert (await stand.ended()).state is RunState.CANCELLED
    assert agent.cancelled.is_set()


async def test_a_plan_that_no_host_took_is_cancelled_at_once(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.busy = 1_000
    await stand.submit(agent)
    async with asyncio.timeout(5):
        async for progress in stand.conductor.watch("r1"):
            if progress.hosts[0].message:
                break
    assert (await stand.conductor.cancel("r1")).reached == ("h1",)
    assert (await stand.ended()).state is RunState.CANCELLED
    assert agent.plans == []


async def test_a_run_is_begun_though_its_submitter_has_gone(
    stand: Stand, agent: ScriptedAgent
) -> None:
    submitting = asyncio.create_task(stand.submit(agent))
    await asyncio.sleep(0)  # until it has begun to store the run
    submitting.cancel()
    await asyncio.gather(submitting, return_exceptions=True)
    async with asyncio.timeout(5):
        await agent.taken.wait()
    assert (await stand.ended()).state is RunState.FINISHED


async def test_cancelling_an_ended_run_does_nothing(stand: Stand, agent: ScriptedAgent) -> None:
    await stand.submit(agent)
    await stand.ended()
    assert (await stand.conductor.cancel("r1")).reached == ()
    assert (await stand.store.find_run("r1")).state is RunState.FINISHED


async def test_a_new_collector_goes_on_with_what_the_old_one_left(
    tmp_path: Path, agent: ScriptedAgent
) -> None:
    agent.holds = {30: asyncio.Event()}
    async with Stand(tmp_path) as old:
        await old.submit(agent)
        await old.until_ready(10)
    assert not agent.cancelled.is_set()
    agent.holds[30].set()
    async with Stand(tmp_path) as new:
        assert (await new.ended()).state is RunState.FINISHED
        assert await new.numbers() == list(range(TRIALS))
    assert len(agent.plans) == 1


async def test_a_store_that_fails_for_a_while_is_tried_again(
    stand: Stand, agent: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, failures = stand.store.append, iter(range(3))

    async def failing(run_id: str, host: str, events: list[object]) -> int:
        if next(failures, None) is not None:
            raise StoreError("the store failed: database or disk is full")
        return await append(run_id, host, events)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(stand.store, "append", failing)
    await stand.submit(agent)
    assert (await stand.ended()).state is RunState.FINISHED
    assert await stand.numbers() == list(range(TRIALS))


async def test_many_watchers_see_the_end_and_a_slow_one_does_too(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.holds = {30: asyncio.Event()}
    await stand.submit(agent)
    slow = stand.conductor.watch("r1")
    first = await anext(slow)
    watchers = [asyncio.create_task(stand.ended()) for _ in range(50)]
    await stand.until_ready(10)
    agent.holds[30].set()
    assert {found.state for found in await asyncio.gather(*watchers)} == {RunState.FINISHED}
    rest = [progress async for progress in slow]
    assert not first.state.ended
    assert len(rest) <= 2
    assert rest[-1].state is RunState.FINISHED
    assert (rest[-1].hosts[0].ready, rest[-1].hosts[0].stages_done) == (TRIALS, 1)


async def test_a_finished_run_can_still_be_watched(stand: Stand, agent: ScriptedAgent) -> None:
    await stand.submit(agent)
    await stand.ended()
    (progress,) = [seen async for seen in stand.conductor.watch("r1")]
    assert progress.state is RunState.FINISHED
    assert (progress.hosts[0].ready, progress.hosts[0].failed) == (TRIALS, 0)
