"""An engine that goes away within a run, and comes back, or does not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from agent.clock import Timeline
from agent.errors import RuntimeUnavailable
from agent.runner import engines
from agent.runtimes.base import Instance, LaunchSpec
from tests.integration.agents import plan, startup
from tests.unit.agent.house import Gated, events_of, open_house, trials
from tonnage.model import Event, Fingerprint, Notice, Outcome, RuntimeState

TRIALS = 9


class Restarted(Gated):
    """Goes away at its third launch, and is back after so many looks."""

    launches = 0
    away = False
    looks_away = 3

    async def fingerprint(self) -> Fingerprint:
        if self.away:
            self.looks_away -= 1
            self.away = self.looks_away > 0
        if self.away:
            return Fingerprint(self.name, RuntimeState.UNDETECTED, "it was stopped")
        return await super().fingerprint()

    async def launch(self, spec: LaunchSpec, timeline: Timeline) -> Instance:
        self.launches += 1
        self.away = self.away or self.launches == 3
        if self.away:
            raise RuntimeUnavailable("the engine does not answer")
        return await super().launch(spec, timeline)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LOOK_AGAIN_SECONDS", 0.001)


async def run_with(engine: type[Restarted], data_dir: Path, **settings: Any) -> list[Event]:
    """The events of a run with such an engine."""
    async with open_house(data_dir, engine, **settings) as house:
        house.gate.may.set()
        await house.runs.start(plan(startup(TRIALS)))
        events = await events_of(house)
        await house.runs.idle()
    return events


def pauses(events: list[Event]) -> list[str]:
    notices = [event.payload for event in events if isinstance(event.payload, Notice)]
    return [notice.message for notice in notices if "paused" in notice.message]


async def test_launching_pauses_until_it_is_back_and_costs_one_trial(tmp_path: Path) -> None:
    events = await run_with(Restarted, tmp_path)
    outcomes = [trial.outcome for trial in trials(events)]
    assert outcomes == [Outcome.READY] * 2 + [Outcome.FAILED] + [Outcome.READY] * (TRIALS - 3)
    (told,) = pauses(events)
    assert "fake did not answer" in told
    assert "still" not in told


async def test_one_that_stays_away_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "PATIENCE_SECONDS", 0.05)

    class Gone(Restarted):
        looks_away = 1 << 30

    events = await run_with(Gone, tmp_path)
    outcomes = [trial.outcome for trial in trials(events)]
    assert outcomes == [Outcome.READY] * 2 + [Outcome.FAILED] * (TRIALS - 2)
    (told,) = pauses(events)
    assert told.endswith("still does not")


async def test_one_that_fails_and_yet_answers_is_not_waited_for(tmp_path: Path) -> None:
    class Moody(Restarted):
        looks_away = 1

    events = await run_with(Moody, tmp_path)
    assert [trial.outcome for trial in trials(events)].count(Outcome.FAILED) == 1
    assert pauses(events) == []


async def test_a_cancelled_run_waits_for_none(tmp_path: Path) -> None:
    class Watched(Restarted):
        looks_away = 1 << 30
        looked = asyncio.Event()

        async def fingerprint(self) -> Fingerprint:
            if self.away:
                self.looked.set()
            return await super().fingerprint()

    async with open_house(tmp_path, Watched) as house:
        house.gate.may.set()
        await house.runs.start(plan(startup(TRIALS)))
        await cast("Watched", house.gate).looked.wait()
        await house.runs.cancel("run-1")
        assert len(trials(await events_of(house))) == 3
        await house.runs.idle()
