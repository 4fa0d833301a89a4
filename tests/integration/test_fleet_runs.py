"""Runs over several hosts: begun together, lost and taken back, resumed, in line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from collector.errors import WrongState
from collector.model import HostRun, Run
from collector.server.outcomes import Outcomes
from collector.views import HeldRun, HostProgress, Progress
from tests.integration.scripted_agent import ScriptedAgent
from tests.integration.stand import TRIALS, Stand
from tests.runs_made_up import end, facts, fingerprint, numbered, plan, run, trial, whole_run
from tonnage.model import (
    Payload,
    RunFinished,
    RunPrepared,
    RunReleased,
    RunStarted,
    RunState,
    StageStarted,
)
from tonnage.v1 import model_pb2

PREPARED, RELEASED = 2, 3
NEVER = 3600.0


def together(host: str, trials: int = TRIALS) -> list[model_pb2.Event]:
    """Every event of a run that waits for its release."""
    begun: list[Payload] = [RunStarted(facts(host), (fingerprint(),)), RunPrepared(0.5)]
    work = [payload for number in range(trials) for payload in (trial(number), end(number))]
    done = RunFinished(RunState.FINISHED)
    return numbered([*begun, RunReleased(), StageStarted("startup", trials), *work, done])


class Waiting(ScriptedAgent):
    """Is prepared when ``prepare`` is set, and begins when it is released."""

    def __init__(self, host: str, *, prepared: bool = True) -> None:
        super().__init__(host, together(host))
        self.prepare = asyncio.Event()
        if prepared:
            self.prepare.set()
        self.holds = {PREPARED: self.prepare, RELEASED: self.released}


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with Stand(tmp_path) as made:
        yield made


@pytest.fixture
async def agents() -> AsyncIterator[list[ScriptedAgent]]:
    async with AsyncExitStack() as stack:
        made = [ScriptedAgent(f"h{n}", whole_run(TRIALS, f"h{n}")) for n in (1, 2, 3)]
        yield [await stack.enter_async_context(agent) for agent in made]


async def serving(stack: AsyncExitStack, *agents: Waiting) -> None:
    for agent in agents:
        await stack.enter_async_context(agent)


def on(progress: Progress, host: str) -> HostProgress:
    return next(each for each in progress.hosts if each.host == host)


# Begun together


async def test_no_host_begins_before_all_are_prepared(stand: Stand) -> None:
    first, last = Waiting("h1"), Waiting("h2", prepared=False)
    async with AsyncExitStack() as stack:
        await serving(stack, first, last)
        await stand.submit(first, last, release_within_seconds=NEVER)
        await stand.until(lambda seen: stand_at(seen, "h1") is RunState.RUNNING)
        await reached(stand, "h1", PREPARED)
        assert not first.released.is_set()
        last.prepare.set()
        found = await stand.ended()
    assert found.state is RunState.FINISHED
    assert first.released.is_set()
    assert last.released.is_set()
    assert found.start_skew_seconds is not None
    assert 0 < found.start_skew_seconds < 5
    assert await stand.numbers("h2") == list(range(TRIALS))


def stand_at(progress: Progress, host: str) -> RunState:
    return on(progress, host).state


async def reached(stand: Stand, host: str, mark: int) -> None:
    """Return once the store holds the host's events up to ``mark``."""

    async def stored() -> bool:
        rows = await stand.store.host_runs("r1")
        return any(row.host == host and row.high_water >= mark for row in rows)

    await becomes(stored)


async def test_the_skew_is_told_while_the_run_goes_on(stand: Stand) -> None:
    first, last = Waiting("h1"), Waiting("h2")
    first.holds[10] = asyncio.Event()
    async with AsyncExitStack() as stack:
        await serving(stack, first, last)
        await stand.submit(first, last, release_within_seconds=NEVER)
        seen = await stand.until(lambda progress: progress.start_skew_seconds is not None)
        assert not seen.state.ended
        first.holds[10].set()
        assert (await stand.ended()).start_skew_seconds == seen.start_skew_seconds


async def test_a_host_that_takes_too_long_begins_later(stand: Stand) -> None:
    first, last = Waiting("h1"), Waiting("h2", prepared=False)
    async with AsyncExitStack() as stack:
        await serving(stack, first, last)
        await stand.submit(first, last, release_within_seconds=0.2)
        seen = await stand.until(lambda progress: "begins later" in on(progress, "h2").message)
        assert on(seen, "h2").ready == 0
        await asyncio.wait_for(first.released.wait(), 10)
        assert not last.released.is_set()
        last.prepare.set()
        assert (await stand.ended()).state is RunState.FINISHED
    assert await stand.numbers("h2") == list(range(TRIALS))


async def test_a_host_that_is_lost_before_it_is_prepared_holds_up_no_other(stand: Stand) -> None:
    first, second, dead = Waiting("h1"), Waiting("h2"), Waiting("h3", prepared=False)
    async with AsyncExitStack() as stack:
        await serving(stack, first, second, dead)
        await stand.submit(first, second, dead, release_within_seconds=NEVER)
        await asyncio.wait_for(dead.taken.wait(), 10)
        await dead.die()
        found = await stand.ended()
    assert found.state is RunState.PARTIAL
    assert found.start_skew_seconds is not None
    assert await stand.numbers("h1") == await stand.numbers("h2") == list(range(TRIALS))


async def test_a_new_collector_releases_what_the_old_one_saw_prepared(tmp_path: Path) -> None:
    first, last = Waiting("h1"), Waiting("h2", prepared=False)
    async with AsyncExitStack() as stack:
        await serving(stack, first, last)
        async with Stand(tmp_path) as old:
            await old.submit(first, last, release_within_seconds=NEVER)
            await reached(old, "h1", PREPARED)
            await asyncio.wait_for(last.taken.wait(), 10)
        assert not first.released.is_set()
        last.prepare.set()
        async with Stand(tmp_path) as new:
            found = await new.ended()
            assert await new.numbers("h1") == list(range(TRIALS))
    assert (found.state, found.start_skew_seconds is None) == (RunState.FINISHED, False)


async def test_what_another_collector_released_has_no_known_skew(stand: Stand) -> None:
    first, last = Waiting("h1", prepared=False), Waiting("h2", prepared=False)
    async with AsyncExitStack() as stack:
        await serving(stack, first, last)
        await stand.submit(first, last, release_within_seconds=NEVER)
        first.released.set()  # by one that went away before it could store anything
        first.prepare.set()
        last.prepare.set()
        found = await stand.ended()
    assert (found.state, found.start_skew_seconds) == (RunState.FINISHED, None)


async def test_a_cancelled_run_is_not_released(stand: Stand) -> None:
    first, last = Waiting("h1"), Waiting("h2", prepared=False)
    async with AsyncExitStack() as stack:
        await serving(stack, first, last)
        await stand.submit(first, last, release_within_seconds=NEVER)
        await reached(stand, "h1", PREPARED)
        await asyncio.wait_for(last.taken.wait(), 10)
        assert (await stand.conductor.cancel("r1")).reached == ("h1", "h2")
        assert (await stand.ended()).state is RunState.CANCELLED
    assert await stand.numbers("h1") == []


# Lost, and back


async def test_one_host_of_three_dies_and_the_rest_is_whole(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    agents[1].holds = {30: asyncio.Event()}
    await stand.submit(*agents)
    await stand.until(lambda progress: on(progress, "h2").ready >= 10)
    await agents[1].die()
    found = await stand.ended()
    assert found.state is RunState.PARTIAL
    states = [host.state for host in await stand.store.host_runs("r1")]
    assert states == [RunState.FINISHED, RunState.PARTIAL, RunState.FINISHED]
    counts = [len(await stand.numbers(agent.host)) for agent in agents]
    assert counts == [TRIALS, 13, TRIALS]
    assert not agents[1].cancelled.is_set()


async def lose(stand: Stand, agent: ScriptedAgent) -> None:
    """The agent dies in the middle and is given up; it could go on then."""
    await stand.until(lambda progress: on(progress, agent.host).ready >= 10)
    await agent.die()
    await stand.until(lambda progress: stand_at(progress, agent.host) is RunState.PARTIAL)
    for hold in agent.holds.values():
        hold.set()


async def test_a_lost_host_that_returns_reopens_its_run(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    agents[0].holds = {30: asyncio.Event()}
    await stand.submit(*agents)
    await lose(stand, agents[0])
    assert (await stand.ended()).state is RunState.PARTIAL
    await agents[0].start()
    await stand.returned(agents[0], 65)
    found = await ended_anew(stand)
    assert (found.state, found.problem) == (RunState.FINISHED, None)
    for agent in agents:
        assert await stand.numbers(agent.host) == list(range(TRIALS))
        assert len(agent.plans) == 1


async def ended_anew(stand: Stand) -> Run:
    """Wait for the end of a run that had ended and is being reopened."""

    async def reopened() -> bool:
        return (await stand.store.find_run("r1")).state is not RunState.PARTIAL

    await becomes(reopened)
    return await stand.ended()


async def becomes(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what nothing announces; sleeping only paces the asking."""
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


async def test_a_lost_host_returns_while_its_run_goes_on(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    agents[0].holds, agents[1].holds = {30: asyncio.Event()}, {30: asyncio.Event()}
    await stand.submit(*agents)
    await lose(stand, agents[0])
    await agents[0].start()
    await stand.returned(agents[0], 65)
    seen = await stand.until(lambda seen: stand_at(seen, "h1") is RunState.FINISHED)
    assert not seen.state.ended
    agents[1].holds[30].set()
    assert (await stand.ended()).state is RunState.FINISHED
    for agent in agents:
        assert await stand.numbers(agent.host) == list(range(TRIALS))
    rows = await stand.store.host_runs("r1")
    assert {(row.state, row.problem) for row in rows} == {(RunState.FINISHED, None)}


async def test_a_host_that_returns_with_what_is_stored_may_forget_it(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    await stand.submit(agents[0])
    await stand.ended()
    agents[0].acked, last = 0, len(agents[0].events)
    await stand.conductor.returned("h1", [HeldRun("r1", last, finished=True)])

    async def forgotten() -> bool:
        return agents[0].acked == last

    await becomes(forgotten)
    assert (await stand.store.find_run("r1")).state is RunState.FINISHED


async def test_a_lost_host_returns_when_the_trials_of_its_run_were_removed(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    agents[0].holds = {30: asyncio.Event()}
    await stand.submit(*agents)
    await lose(stand, agents[0])
    assert (await stand.ended()).state is RunState.PARTIAL
    result = await Outcomes(stand.store).result("r1")
    await stand.store.remove_raw("r1", 1)
    await agents[0].start()
    await stand.returned(agents[0], 65)
    await reached(stand, "h1", len(agents[0].events))  # it need not hold them for ever
    assert (await stand.store.find_run("r1")).state is RunState.PARTIAL
    assert (await Outcomes(stand.store).result("r1")).startup == result.startup
    with pytest.raises(WrongState, match="were removed"):
        await stand.conductor.resume("r1")


async def test_a_run_of_another_collector_is_left_alone(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    await stand.submit(agents[0])
    await stand.ended()
    streams = list(agents[0].streams)
    await stand.returned(agents[0], 7, run_id="r")  # no id, though the beginning of one
    await stand.returned(agents[1], 7)
    await stand.submit(agents[0], run_id="r2")
    await stand.ended("r2")
    assert agents[0].streams == [*streams, 0]
    assert (agents[1].streams, agents[0].cancelled.is_set()) == ([], False)


async def test_a_host_that_was_not_reached_is_told_of_the_cancellation_when_it_returns(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    agents[0].holds = {30: asyncio.Event()}
    await stand.submit(*agents)
    await stand.until(lambda progress: on(progress, "h1").ready >= 10)
    await agents[0].die()
    assert (await stand.conductor.cancel("r1")).unreached == ("h1",)
    assert (await stand.ended()).state is RunState.CANCELLED
    await agents[0].start()
    await stand.returned(agents[0], 29)
    async with asyncio.timeout(10):
        await agents[0].cancelled.wait()
    await reached(stand, "h1", len(agents[0].events))  # what it had is kept
    assert (await stand.store.find_run("r1")).state is RunState.CANCELLED


async def test_cancelling_says_that_a_host_given_up_was_not_reached(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    for agent in agents[:2]:
        agent.holds = {30: asyncio.Event()}
    await stand.submit(*agents)
    await lose(stand, agents[0])
    told = await stand.conductor.cancel("r1")
    assert (told.reached, told.unreached) == (("h2", "h3"), ("h1",))
    assert (await stand.ended()).state is RunState.CANCELLED


async def test_a_lost_host_of_a_run_that_ended_can_still_be_kept_from_going_on(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    agents[0].holds = {30: asyncio.Event()}
    await stand.submit(*agents)
    await lose(stand, agents[0])
    assert (await stand.ended()).state is RunState.PARTIAL
    assert (await stand.conductor.cancel("r1")).unreached == ("h1",)
    await agents[0].start()
    await stand.returned(agents[0], 29)
    await asyncio.wait_for(agents[0].cancelled.wait(), 10)
    assert (await stand.store.find_run("r1")).state is RunState.PARTIAL
    with pytest.raises(WrongState, match="cancelled"):
        await stand.conductor.resume("r1")
    assert (await stand.conductor.cancel("r1")).reached == ("h1",)


# Resumed


async def test_resuming_pulls_what_a_lost_host_measured(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    agents[0].holds = {30: asyncio.Event()}
    await stand.submit(*agents)
    await lose(stand, agents[0])
    await stand.ended()
    await agents[0].start()
    resumed = await stand.conductor.resume("r1")
    assert (resumed.run_id, resumed.hosts) == ("r1", ("h1",))
    assert (await stand.ended()).state is RunState.FINISHED
    assert await stand.numbers() == list(range(TRIALS))


async def test_resuming_hands_the_plan_to_a_host_that_never_had_it(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    await agents[0].die()
    await stand.submit(agents[0], agents[1])
    assert (await stand.ended()).state is RunState.PARTIAL
    await agents[0].start()
    assert (await stand.conductor.resume("r1")).hosts == ("h1",)
    assert (await stand.ended()).state is RunState.FINISHED
    assert len(agents[0].plans) == 1


async def test_resuming_says_which_agents_no_longer_hold_the_run(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    agents[0].holds = {30: asyncio.Event()}
    await stand.submit(*agents)
    await lose(stand, agents[0])
    await stand.ended()
    agents[0].forgets_runs = True
    await agents[0].start()
    with pytest.raises(WrongState, match="the agents of h1 no longer hold it"):
        await stand.conductor.resume("r1")
    found = await stand.ended()
    assert found.state is RunState.PARTIAL
    assert "no longer holds this run" in str(found.problem)
    assert await stand.numbers() == list(range(13))


async def test_there_is_nothing_to_resume_of_a_run_that_ended_goes_on_or_was_cancelled(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    await stand.submit(agents[0])
    await stand.ended()
    with pytest.raises(WrongState, match="every host of it reached its end"):
        await stand.conductor.resume("r1")
    agents[1].holds = {30: asyncio.Event()}
    await stand.submit(agents[1], run_id="r2")
    with pytest.raises(WrongState, match="goes on"):
        await stand.conductor.resume("r2")
    await stand.until(lambda progress: progress.hosts[0].ready >= 10, "r2")
    await stand.conductor.cancel("r2")
    await stand.ended("r2")
    with pytest.raises(WrongState, match="cancelled"):
        await stand.conductor.resume("r2")


# In line


async def test_a_run_says_whom_it_waits_for_and_begins_after(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    agents[0].holds = {30: asyncio.Event()}
    await stand.submit(agents[0], agents[1])
    await stand.submit(agents[1], agents[2], run_id="r2")
    await stand.submit(agents[0], run_id="r3")
    await stand.until(lambda progress: on(progress, "h2").state is RunState.FINISHED)
    assert (await stand.ended("r2")).state is RunState.FINISHED
    waiting = await stand.until(lambda progress: True, "r3")
    assert (waiting.queue_position, waiting.behind) == (1, ("r1",))
    assert stand.conductor.before("r3") == ("r1",)
    agents[0].holds[30].set()
    begun = await stand.until(lambda progress: not progress.queue_position, "r3")
    assert begun.behind == ()
    assert (await stand.ended("r3")).state is RunState.FINISHED
    assert [made.run_id for made in agents[0].plans] == ["r1", "r3"]


async def test_the_line_is_the_same_after_a_restart(
    tmp_path: Path, agents: list[ScriptedAgent]
) -> None:
    agents[0].holds = {30: asyncio.Event()}
    async with Stand(tmp_path) as old:
        await old.submit(agents[0])
        await old.until_ready(10)
        for number in (2, 3):
            later = run(f"r{number}", started_at_unix_ns=run().started_at_unix_ns + number)
            made = HostRun(later.run_id, "h1", agents[0].address, plan(later.run_id, TRIALS))
            await old.conductor.submit(later, [made])
    async with Stand(tmp_path) as new:
        seen = await new.until(lambda progress: True, "r3")
        assert (seen.queue_position, seen.behind) == (2, ("r1", "r2"))
        agents[0].holds[30].set()
        assert (await new.ended("r3")).state is RunState.FINISHED
    assert [made.run_id for made in agents[0].plans] == ["r1", "r2", "r3"]
