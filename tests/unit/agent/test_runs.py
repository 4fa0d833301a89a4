"""What comes between a run's request and its beginning: a caller that goes, a stop, an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from agent.errors import AgentStopping, GuardTripped, RunActive
from agent.runtimes.base import Scope
from agent.storage.runlog import RunLog
from tests.integration.agents import plan, startup, target
from tests.unit.agent.house import Gated, House, events_of, open_house, trials
from tonnage.model import Plan, RunFinished, RunState


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, guard_max_instances=3) as opened:
        yield opened


async def test_a_caller_that_goes_away_leaves_a_run_that_is_known_and_carried_out(
    house: House,
) -> None:
    calling = asyncio.create_task(house.runs.start(plan(startup(2))))
    await house.gate.asked.wait()
    calling.cancel()
    house.gate.may.set()
    assert await house.runs.start(plan(startup(2)))  # sent again, it was begun
    assert len(trials(await events_of(house))) == 2
    await house.runs.idle()


async def test_a_run_that_is_asked_for_while_everything_is_stopped_is_refused(
    house: House,
) -> None:
    house.gate.may.set()
    with house.runs.halt(), pytest.raises(RunActive, match="everything on this host"):
        await house.runs.start(plan(startup(2)))
    assert not house.equipment.spool.knows("run-1")


class SlowToRemove(Gated):
    """Its instances are gone only when it may."""

    async def reap(self, scope: Scope) -> Sequence[str]:
        await self._gate()
        return await super().reap(scope)


async def test_launching_is_refused_until_the_last_is_removed(tmp_path: Path) -> None:
    async with open_house(tmp_path, SlowToRemove) as house:
        house.gate.may.set()
        await house.manual.launch(target(), 50)
        house.gate.may.clear()
        house.gate.asked.clear()
        stopping = asyncio.create_task(house.stop_all())
        await house.gate.asked.wait()  # all are killed, and removing has begun
        with pytest.raises(RunActive, match="everything on this host"):
            await house.runs.start(plan(startup(2)))
        with pytest.raises(RunActive, match="everything on this host"):
            await house.manual.launch(target(), 50)
        house.gate.may.set()
        await stopping
        await house.manual.launch(target(), 50)
        await house.manual.drain()


async def test_a_run_that_was_being_begun_when_everything_was_stopped_is_not(
    house: House,
) -> None:
    starting = asyncio.create_task(house.runs.start(plan(startup(2))))
    await house.gate.asked.wait()
    with house.runs.halt():
        house.gate.may.set()
        with pytest.raises(RunActive, match="everything on this host"):
            await starting
    assert not house.equipment.spool.knows("run-1")


async def test_a_run_whose_plan_was_being_kept_when_everything_was_stopped_is_cancelled(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.gate.may.set()
    create = house.equipment.spool.create

    async def create_slowly(chosen: Plan) -> RunLog:
        log = await create(chosen)
        await house.stop_all()
        return log

    monkeypatch.setattr(house.equipment.spool, "create", create_slowly)
    assert not await house.runs.start(plan(startup(2)))
    events = await events_of(house)
    last = events[-1].payload
    assert isinstance(last, RunFinished)
    assert last.state is RunState.CANCELLED
    assert trials(events) == []
    await house.runs.idle()


async def test_a_run_that_was_being_begun_as_the_agent_stops_is_refused(house: House) -> None:
    starting = asyncio.create_task(house.runs.start(plan(startup(2))))
    await house.gate.asked.wait()
    stopping = asyncio.create_task(house.runs.suspend(50))
    await asyncio.sleep(0)
    house.gate.may.set()
    with pytest.raises(AgentStopping):
        await starting
    await stopping
    assert not house.equipment.spool.knows("run-1")


async def test_a_run_that_was_left_is_not_called_over_when_it_is_cancelled(house: House) -> None:
    house.gate.may.set()
    await house.runs.start(plan(startup(9, timeout=50), targets=[target("fake:hang")]))
    await house.runs.suspend(50)
    with pytest.raises(AgentStopping, match="the agent is stopping"):
        await house.runs.cancel("run-1")


async def test_nothing_is_launched_by_hand_while_everything_is_stopped(house: House) -> None:
    by_hand = asyncio.create_task(house.manual.launch(target(), 50))
    await house.gate.asked.wait()
    with house.equipment.trials.halt():
        with pytest.raises(RunActive, match="everything on this host"):
            await house.manual.launch(target(), 50)
        house.gate.may.set()
        with pytest.raises(RunActive, match="everything on this host"):
            await by_hand
    assert len(house.equipment.holdings) == 0


async def test_nothing_is_launched_by_hand_once_the_agent_has_cleaned_up(house: House) -> None:
    by_hand = asyncio.create_task(house.manual.launch(target(), 50))
    await house.gate.asked.wait()
    await house.manual.drain()
    house.gate.may.set()
    with pytest.raises(AgentStopping):
        await by_hand
    assert len(house.equipment.holdings) == 0


async def test_many_launches_by_hand_at_once_stay_within_the_guard(house: House) -> None:
    house.gate.may.set()
    launches = [house.manual.launch(target(), 50) for _ in range(20)]
    made = await asyncio.gather(*launches, return_exceptions=True)
    refused = [answer for answer in made if isinstance(answer, GuardTripped)]
    assert (len(house.equipment.holdings), len(refused)) == (3, 17)
    await house.manual.drain()
