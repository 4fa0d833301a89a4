"""How far a run has come: counted event by event, told to any number of watchers.

A watcher that is slow misses intermediate states, never the latest: nothing is
queued for anyone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress

from collector.model import HostFact, HostRun, Run, TrialRow
from collector.stores.base import Store
from collector.views import HostProgress, Progress
from tonnage import model, wire
from tonnage.model import Outcome, Problem, RunState
from tonnage.v1 import model_pb2

# A watcher is told at most so often, and less often of so many hosts that telling costs.
_INTERVAL_SECONDS = 0.2
_INTERVAL_SECONDS_A_HOST = 0.001
_MESSAGE = 500


class HostTracker:
    """One host's progress. Counters are exact; the message is the latest."""

    def __init__(self, host: HostRun) -> None:
        self.host = host.host
        self.state = host.state
        self.message = str(host.problem) if host.problem else ""
        self.ready = 0
        self.failed = 0
        self.prepared = False
        self.released = False
        self._stages_total = len(host.plan.stages)
        self._stages_done = 0
        self._stage_id = ""
        self._trials_done = 0
        self._trials_expected = 0
        self._instances = 0

    def saw(self, events: Iterable[model_pb2.Event]) -> None:
        """Count events that were stored just now; none may be told twice."""
        for event in events:
            kind = event.WhichOneof("payload")
            if kind == "trial":
                trial = event.trial
                self._trial(trial.stage_id, _OUTCOMES.get(trial.outcome), trial.fill)
            elif kind is not None and kind != "trial_end":
                cls = _CLASSES[kind]
                self._fact(wire.from_message(getattr(event, kind), cls))

    def restore(self, trials: Iterable[TrialRow], facts: Iterable[HostFact]) -> None:
        """Count rows that an earlier collector stored."""
        for row in trials:
            self._trial(row.trial.stage_id, row.trial.outcome, row.trial.fill)
        for fact in facts:
            self._fact(fact.fact)

    def snapshot(self) -> HostProgress:
        """The state now."""
        return HostProgress(
            host=self.host,
            state=self.state,
            stage_id=self._stage_id,
            stages_done=self._stages_done,
            stages_total=self._stages_total,
            trials_done=self._trials_done,
            trials_expected=self._trials_expected,
            ready=self.ready,
            failed=self.failed,
            instances=self._instances,
            message=self.message[:_MESSAGE],
        )

    def _trial(self, stage_id: str, outcome: Outcome | None, fill: int) -> None:
        if stage_id != self._stage_id:
            self._begin(stage_id, 0)
        self._trials_done += 1
        self._instances = max(self._instances, fill)
        self.ready += outcome is Outcome.READY
        self.failed += outcome in (Outcome.FAILED, Outcome.TIMED_OUT)

    def _begin(self, stage_id: str, expected: int) -> None:
        self._stage_id = stage_id
        self._trials_done = self._instances = 0
        self._trials_expected = expected

    def _fact(self, fact: object) -> None:
        match fact:
            case model.StageStarted():
                self._begin(fact.stage_id, fact.trials_expected)
            case model.Step() | model.FootprintPoint() | model.ChurnPoint() | model.Inside():
                self._instances = _instances(fact, self._instances)
            case model.StageFinished():
                self._stages_done += 1
                self.message = str(fact.problem) if fact.problem else self.message
            case model.Notice():
                self.message = fact.message
            case model.RunStarted():
                self.state = RunState.RUNNING
            case model.RunPrepared():
                self.prepared = True
            case model.RunReleased():
                self.released = True
            case model.RunResumed():
                self.message = f"went on after an interruption: {fact.reason}"
            case model.RunFinished():
                self.state = fact.state
                self.message = str(fact.problem) if fact.problem else self.message


def _instances(
    fact: model.Step | model.FootprintPoint | model.ChurnPoint | model.Inside, before: int
) -> int:
    """How many live, where a fact says it."""
    match fact:
        case model.Inside(answers=answers):
            return len(answers)
        case model.ChurnPoint(fact=model.ChurnReading(sample=sample)):
            return sample.instances
        case model.ChurnPoint():
            return before
        case _:
            return fact.sample.instances


class RunTracker:
    """A run's progress and those who watch it.

    ``before`` names the runs that it waits for; ``start_skew_seconds`` is as in ``Run``.
    """

    def __init__(
        self, run: Run, hosts: Sequence[HostRun], before: Callable[[], Sequence[str]] = tuple
    ) -> None:
        self.run_id = run.run_id
        self.hosts = {host.host: HostTracker(host) for host in hosts}
        self.start_skew_seconds = run.start_skew_seconds
        self._before = before
        self._state = run.state
        self._problem = run.problem
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._shown: Progress | None = None

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return self._state

    def moved(self, state: RunState, problem: Problem | None = None) -> None:
        """The run is in ``state`` now."""
        self._state, self._problem = state, problem
        if state.ended:
            self._ended.set()
        self.changed()

    def changed(self) -> None:
        """Wake the watchers."""
        self._shown = None
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()

    def snapshot(self) -> Progress:
        """The state now; made once for all watchers."""
        if self._shown is None:
            behind = tuple(self._before())
            self._shown = Progress(
                run_id=self.run_id,
                state=self._state,
                hosts=tuple(self.hosts[name].snapshot() for name in sorted(self.hosts)),
                problem=self._problem,
                queue_position=len(behind),
                behind=behind,
                start_skew_seconds=self.start_skew_seconds,
            )
        return self._shown

    async def updates(self) -> AsyncIterator[Progress]:
        """The state now, and after changes, until the run has ended."""
        interval = max(_INTERVAL_SECONDS, _INTERVAL_SECONDS_A_HOST * len(self.hosts))
        while True:
            changed = self._changed
            progress = self.snapshot()
            yield progress
            if progress.state.ended:
                return
            await changed.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._ended.wait()


async def restore(store: Store, tracker: RunTracker) -> None:
    """Count what an earlier collector stored of the run."""
    async for batch in store.trials(tracker.run_id):
        for row in batch:
            tracker.hosts[row.host].restore([row], ())
    for fact in await store.facts(tracker.run_id):
        tracker.hosts[fact.host].restore((), [fact])


async def stored_progress(store: Store, run_id: str) -> Progress:
    """How far a run has come by what is stored of it."""
    tracker = RunTracker(await store.find_run(run_id), await store.host_runs(run_id))
    await restore(store, tracker)
    return tracker.snapshot()


_OUTCOMES = {
    model_pb2.OUTCOME_READY: Outcome.READY,
    model_pb2.OUTCOME_FAILED: Outcome.FAILED,
    model_pb2.OUTCOME_TIMED_OUT: Outcome.TIMED_OUT,
}
_CLASSES: dict[str, type[object]] = {
    "run_started": model.RunStarted,
    "stage_started": model.StageStarted,
    "step": model.Step,
    "forecast": model.Forecast,
    "density_result": model.DensityResult,
    "footprint_point": model.FootprintPoint,
    "churn_point": model.ChurnPoint,
    "inside": model.Inside,
    "memory_floor": model.MemoryFloor,
    "stage_finished": model.StageFinished,
    "notice": model.Notice,
    "run_prepared": model.RunPrepared,
    "snapshot": model.Snapshot,
    "run_released": model.RunReleased,
    "run_resumed": model.RunResumed,
    "run_finished": model.RunFinished,
}
