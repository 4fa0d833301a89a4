"""What starts in flight may still take, and that they do not fall below the headroom together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.clock import Timeline
from agent.errors import GuardTripped
from agent.runner.observer import Observer
from agent.runner.reserve import Growth
from agent.runtimes.base import Instance, LaunchSpec
from agent.runtimes.registry import RuntimeSettings
from tests.integration.agents import plan, startup, target
from tests.unit.agent.house import Gated, House, events_of, open_house, trials
from tonnage.model import (
    Accelerator,
    DensityResult,
    DensityStage,
    Event,
    Notice,
    Outcome,
    Population,
    Slo,
    Stage,
    StopReason,
)

MIB = 1 << 20
SIZE = target().memory_bytes
HEADROOM = 1000 * MIB
CONTAINER, VM = Accelerator.NONE, Accelerator.KVM


def test_a_start_of_an_unknown_kind_may_take_what_was_asked_for() -> None:
    growth = Growth()
    growth.saw(target(), 2 * MIB)
    growth.saw(target(), 3 * MIB)
    assert growth.expected(target(), CONTAINER) == SIZE


def test_a_container_is_expected_to_take_the_most_that_one_of_its_kind_took() -> None:
    growth = Growth()
    for taken in (2, 9, 3, -40, 4):
        growth.saw(target(), taken * MIB)
    assert growth.expected(target(), CONTAINER) == 9 * MIB
    assert growth.expected(target("fake:other"), CONTAINER) == SIZE


def test_a_vm_is_expected_to_take_what_it_is_given_whatever_others_took() -> None:
    growth = Growth()
    for _ in range(5):
        growth.saw(target(), MIB)
    assert growth.expected(target(), VM) == SIZE


@pytest.mark.parametrize(("taken", "expected"), [(-MIB, 0), (9 * SIZE, SIZE)])
def test_no_start_is_expected_to_give_memory_or_to_take_more_than_its_limit(
    taken: int, expected: int
) -> None:
    growth = Growth()
    for _ in range(3):
        growth.saw(target(), taken)
    assert growth.expected(target(), CONTAINER) == expected


class Heavy(Gated):
    """A host of little memory: each instance takes all it was given, once it is launched."""

    capabilities = replace(Gated.capabilities, takes_memory=True)
    total_bytes = HEADROOM + 11 * SIZE // 2

    def __init__(self, settings: RuntimeSettings) -> None:
        super().__init__(settings)
        self.may.set()
        self.lowest_bytes = self.total_bytes

    def available_bytes(self) -> int:
        return self.total_bytes - SIZE * self._count_alive()

    async def launch(self, spec: LaunchSpec, timeline: Timeline) -> Instance:
        instance = await super().launch(spec, timeline)
        self.lowest_bytes = min(self.lowest_bytes, self.available_bytes())
        return instance


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house(tmp_path, Heavy, guard_memory_headroom_bytes=HEADROOM) as opened:
        monkeypatch.setattr(
            Observer, "mem_available_bytes", lambda _: heavy(opened).available_bytes()
        )
        yield opened
        await opened.runs.idle()


def heavy(house: House) -> Heavy:
    assert isinstance(house.gate, Heavy)
    return house.gate


def held_back(events: list[Event]) -> list[str]:
    """The notices that fewer were started at a time than was asked for."""
    notices = [event.payload.message for event in events if isinstance(event.payload, Notice)]
    return [notice for notice in notices if "holds launching back" in notice]


async def test_a_ramp_stops_at_the_headroom_and_not_below_it_by_all_that_start_at_once(
    house: House,
) -> None:
    ramp = DensityStage("fake", 100, 1000, 1, Slo(), 2, 0.0, 10, concurrency=8)
    await house.runs.start(plan(Stage("ramp", ramp)))
    events = await events_of(house)
    (found,) = [event.payload for event in events if isinstance(event.payload, DensityResult)]
    assert found.stop_reason is StopReason.MEMORY_HEADROOM
    fill = [trial for trial in trials(events) if trial.population is Population.FILL]
    assert len(fill) == 6  # the sixth is the one that crosses it, as one after another
    assert heavy(house).lowest_bytes == HEADROOM - SIZE // 2
    assert len(held_back(events)) == 1


async def test_starts_that_do_not_fit_beside_each_other_are_made_in_turn(house: House) -> None:
    await house.runs.start(plan(startup(20, concurrency=10)))
    events = await events_of(house)
    assert [trial.outcome for trial in trials(events)] == [Outcome.READY] * 20
    assert heavy(house).lowest_bytes >= HEADROOM
    assert len(held_back(events)) == 1


async def test_a_launch_by_hand_that_does_not_fit_beside_those_in_flight_is_refused(
    house: House,
) -> None:
    slow = target(FAKE_READY_MS="300")
    launching = [asyncio.create_task(house.manual.launch(slow, 5)) for _ in range(8)]
    ended = await asyncio.gather(*launching, return_exceptions=True)
    refused = [error for error in ended if isinstance(error, GuardTripped)]
    assert len(refused) == 3
    assert all("starts in flight may take" in str(error) for error in refused)
    assert heavy(house).lowest_bytes >= HEADROOM


async def test_where_everything_fits_as_many_start_at_once_as_was_asked_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Heavy, "total_bytes", HEADROOM + 10 * SIZE)
    await house.runs.start(plan(startup(20, concurrency=10)))
    assert held_back(await events_of(house)) == []
