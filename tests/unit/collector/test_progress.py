"""Progress counted event by event."""

from __future__ import annotations

import asyncio

import pytest

from collector.conductor.liverun import run_end
from collector.conductor.progress import HostTracker, RunTracker
from tests.runs_made_up import STAGE, facts, fingerprint, host_run, numbered, run, trial, whole_run
from tonnage.model import (
    Notice,
    Outcome,
    Problem,
    ProblemKind,
    RunFinished,
    RunStarted,
    RunState,
    Sample,
    StageFinished,
    StageStarted,
    Step,
)


def test_progress_follows_the_events() -> None:
    tracker = HostTracker(host_run())
    tracker.saw(
        numbered(
            [
                RunStarted(facts(), (fingerprint(),)),
                StageStarted(STAGE, 4),
                trial(0),
                trial(1, Outcome.TIMED_OUT),
                trial(2, Outcome.CANCELLED),
                Notice("KSM is on."),
            ]
        )
    )
    now = tracker.snapshot()
    assert (now.state, now.stage_id, now.message) == (RunState.RUNNING, STAGE, "KSM is on.")
    assert (now.trials_done, now.trials_expected, now.ready, now.failed) == (3, 4, 1, 1)
    assert (now.stages_done, now.stages_total) == (0, 1)


def test_a_new_stage_counts_from_nothing_and_keeps_the_totals() -> None:
    tracker = HostTracker(host_run())
    tracker.saw(
        numbered(
            [
                StageStarted(STAGE, 2),
                trial(0),
                StageFinished(STAGE),
                StageStarted("density/fake", 0),
                trial(0, stage_id="density/fake", fill=8),
                Step("density/fake", 1, Sample(10, 10, 10), 2, True),
            ]
        )
    )
    now = tracker.snapshot()
    assert (now.stage_id, now.stages_done, now.instances) == ("density/fake", 1, 10)
    assert (now.trials_done, now.trials_expected, now.ready) == (1, 0, 2)


def test_the_end_and_its_problem_show() -> None:
    tracker = HostTracker(host_run())
    why = Problem(ProblemKind.GUARD, "memory is low")
    tracker.saw(numbered([RunFinished(RunState.PARTIAL, why)]))
    now = tracker.snapshot()
    assert (now.state, now.message) == (RunState.PARTIAL, "memory is low.")


async def test_a_watcher_gets_the_latest_state_and_not_each() -> None:
    tracker = RunTracker(run(), [host_run()])
    updates = tracker.updates()
    assert (await anext(updates)).hosts[0].ready == 0
    for event in whole_run(50):
        tracker.hosts["h1"].saw([event])
        tracker.changed()
    assert (await anext(updates)).hosts[0].ready == 50
    tracker.moved(RunState.FINISHED)
    last = [update async for update in updates]
    assert [update.state for update in last] == [RunState.FINISHED]


async def test_a_change_while_a_watcher_is_busy_is_not_missed() -> None:
    tracker = RunTracker(run(), [host_run()])
    updates = tracker.updates()
    await anext(updates)
    tracker.moved(RunState.CANCELLED)
    async with asyncio.timeout(1):
        assert (await anext(updates)).state is RunState.CANCELLED


@pytest.mark.parametrize(
    ("hosts", "cancelled", "end"),
    [
        ("finished finished", False, RunState.FINISHED),
        ("finished finished", True, RunState.FINISHED),
        ("finished partial", False, RunState.PARTIAL),
        ("finished failed", False, RunState.PARTIAL),
        ("partial", False, RunState.PARTIAL),
        ("failed failed", False, RunState.FAILED),
        ("finished cancelled", False, RunState.CANCELLED),
        ("finished partial", True, RunState.CANCELLED),
        ("failed", True, RunState.CANCELLED),
    ],
)
def test_how_a_run_ends_by_its_hosts(hosts: str, cancelled: bool, end: RunState) -> None:
    assert run_end([RunState(host) for host in hosts.split()], cancelled=cancelled) is end
