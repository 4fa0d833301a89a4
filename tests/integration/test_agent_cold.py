"""Cold starts of a real agent: what the page cache held of real files before each."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.integration.agents import Agent, agent, finished, payloads, plan, target
from tonnage.model import (
    Mode,
    Outcome,
    Population,
    RunState,
    Stage,
    StartupStage,
    Target,
    TargetTrials,
    Trial,
    TrialEnd,
)
from tonnage.v1 import agent_pb2
from tonnage.wire import to_message

SIZE = 300_000


@pytest.fixture
def image() -> Iterator[Path]:
    """A folder on the checkout's disk, as tmpfs has no page cache to evict from."""
    with tempfile.TemporaryDirectory(dir=CHECKOUT, prefix=".cold-") as folder:
        Path(folder, "layer").write_bytes(os.urandom(SIZE))
        yield Path(folder)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Agent]:
    async with agent(tmp_path) as made:
        yield made


def of_mode(image: Path, mode: Mode) -> Target:
    return replace(target(FAKE_READS=str(image)), id=mode.value, mode=mode)


def both(trials: int) -> Stage:
    counts = tuple(TargetTrials(mode, trials) for mode in ("cold", "warm"))
    return Stage("startup", StartupStage(counts, 0, (1,), 10))


async def test_cold_starts_find_nothing_cached_and_warm_ones_beside_them_all(
    host: Agent, image: Path
) -> None:
    targets = [of_mode(image, Mode.COLD), of_mode(image, Mode.WARM)]
    events = await host.run(plan(both(8), targets=targets))
    assert finished(events).state is RunState.FINISHED
    trials = payloads(events, Trial)
    found = {(t.target_id, t.cold_bytes, t.cold_cached_bytes) for t in trials}
    assert found == {("cold", SIZE, 0), ("warm", SIZE, SIZE)}


async def test_a_run_without_a_cold_target_looks_at_nothing(host: Agent, image: Path) -> None:
    only = Stage("startup", StartupStage((TargetTrials("warm", 1),), 0, (1,), 10))
    (trial,) = payloads(await host.run(plan(only, targets=[of_mode(image, Mode.WARM)])), Trial)
    assert (trial.cold_bytes, trial.cold_cached_bytes) == (None, None)


async def test_a_start_that_cannot_be_made_cold_fails_with_the_reason(
    host: Agent, image: Path
) -> None:
    """Its file vanishes once the run has begun: every other start still is made."""
    targets = [of_mode(image, Mode.COLD), replace(target(), id="warm")]
    await host.start(plan(both(60), targets=targets))
    await host.until("run-1", TrialEnd, 4)
    (image / "layer").unlink()
    events = await host.events("run-1")
    failed = [t for t in payloads(events, Trial) if t.outcome is not Outcome.READY]
    assert {t.target_id for t in failed} == {"cold"}
    assert "could not be made cold and verified" in failed[0].error
    assert failed[0].population is Population.MEASURED
    assert len(payloads(events, TrialEnd)) == len(payloads(events, Trial)) == 120


async def test_an_image_of_unknown_files_is_refused_before_anything_is_launched(
    host: Agent, image: Path
) -> None:
    events = await host.run(
        plan(both(1), targets=[of_mode(image / "gone", Mode.COLD), target(name="warm")])
    )
    problem = finished(events).problem
    assert problem is not None
    assert (problem.field, problem.value) == ("targets[cold].mode", "cold")
    assert payloads(events, Trial) == []


async def test_a_cold_launch_by_hand_is_verified_too(host: Agent, image: Path) -> None:
    wanted = to_message(of_mode(image, Mode.COLD))
    answer = await host.stub.Launch(agent_pb2.LaunchRequest(target=wanted, ready_timeout_seconds=5))
    assert (answer.trial.cold_bytes, answer.trial.cold_cached_bytes) == (SIZE, 0)
