"""A start is a row with its marks. A launch that fails is cleaned up after; what that could not
remove is not forgotten."""

from __future__ import annotations

from unittest.mock import AsyncMock, Mock

import pytest

from agent.clock import Mark, Timeline
from agent.errors import LaunchFailed, RuntimeUnavailable
from agent.runner.attempts import Order
from agent.runner.holdings import Holdings
from agent.runner.trials import Trials
from agent.runtimes.base import LaunchSpec, Prepared
from tonnage.model import (
    Accelerator,
    LogReadiness,
    Mode,
    Network,
    Outcome,
    Population,
    Target,
    Workload,
)

WORKLOAD = Workload("w", "some/image:1", LogReadiness("READY"))
ORDER = Order(
    run_id="",
    stage_id="",
    trial_id="t",
    target=Target("t", "docker", "default", Mode.WARM, Network.NONE, WORKLOAD, 64 << 20),
    prepared=Prepared(WORKLOAD, "sha256:1"),
    accelerator=Accelerator.NONE,
    population=Population.MANUAL,
    number=0,
    block=0,
    concurrency=1,
    fill=0,
    ready_timeout_seconds=10,
    lifetime_seconds=10,
    noisy_above_share=1.0,
)


@pytest.fixture
def runtime() -> Mock:
    """One whose launches fail, and that knows of nothing they left."""
    runtime = Mock(launch=AsyncMock(side_effect=LaunchFailed("the engine died")))
    runtime.recover = AsyncMock(return_value=None)
    return runtime


@pytest.fixture
def holdings() -> Holdings:
    return Holdings()


@pytest.fixture
def trials(runtime: Mock, holdings: Holdings) -> Trials:
    observer = Mock()
    observer.shares.return_value = (None, None)
    observer.pressure.return_value = {}
    observer.mem_available_bytes.return_value = None
    journal = Mock(opened=AsyncMock())
    return Trials("agent", {"docker": runtime}, journal, holdings, observer)


async def test_every_mark_up_to_ready_is_in_the_row_under_its_name(
    trials: Trials, runtime: Mock
) -> None:
    marks = list(Mark)[: list(Mark).index(Mark.READY) + 1]

    def launch(_: LaunchSpec, timeline: Timeline) -> Mock:
        for number, mark in enumerate(marks):
            timeline.mark(mark, timeline.requested_ns + number)
        return Mock(ready=AsyncMock(), destroy=AsyncMock(), cpu_ns=Mock(return_value=None))

    runtime.launch = AsyncMock(side_effect=launch)
    trial = (await trials.attempt(ORDER)).trial
    assert [getattr(trial, f"{mark}_ns") for mark in marks] == list(range(len(marks)))
    assert not trial.suspect


async def test_a_failed_launch_that_left_nothing_is_dropped(
    trials: Trials, holdings: Holdings
) -> None:
    attempt = await trials.attempt(ORDER)
    assert attempt.trial.outcome is Outcome.FAILED
    assert attempt.end is not None
    assert attempt.end.error == ""
    assert len(holdings) == 0


async def test_what_its_clean_up_left_is_removed(
    trials: Trials, runtime: Mock, holdings: Holdings
) -> None:
    runtime.recover.return_value = left = Mock(destroy=AsyncMock())
    attempt = await trials.attempt(ORDER)
    left.destroy.assert_awaited_once()
    assert attempt.end is not None
    assert attempt.end.error == ""
    assert len(holdings) == 0


async def test_what_nobody_can_tell_of_stays_an_orphan(
    trials: Trials, runtime: Mock, holdings: Holdings
) -> None:
    runtime.recover.side_effect = RuntimeUnavailable("the engine does not answer")
    attempt = await trials.attempt(ORDER)
    assert attempt.end is not None
    assert "the engine does not answer" in attempt.end.error
    (holding,) = holdings
    assert holding.state == "orphaned"
