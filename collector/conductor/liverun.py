"""A run that has not ended: its drives, its progress, and how it will have ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

import structlog

from collector.agents import Released
from collector.conductor.barrier import Barrier
from collector.conductor.drive import Drive
from collector.conductor.patience import Patience
from collector.conductor.progress import HostTracker, RunTracker
from collector.conductor.storing import until_stored
from collector.conductor.turns import Turns
from collector.conductor.work import Work
from collector.errors import StoreError
from collector.model import Run
from collector.stores.base import Store
from collector.views import Cancelled
from tonnage.model import Problem, ProblemKind, RunState
from tonnage.v1 import model_pb2

_log = structlog.get_logger(__name__)


class Figures(Protocol):
    """Counts what is driven, for the collector's own metrics."""

    def stored(self, host: str, events: int, seconds: float) -> None:
        """``events`` of ``host`` were committed in ``seconds``."""

    def troubled(self, host: str) -> None:
        """``host`` is tried again."""

    def ended(self, run_id: str, state: RunState) -> None:
        """A run has ended."""


class LiveRun:
    """Observes its drives; ``drive`` takes it to its end."""

    def __init__(
        self, run: Run, tracker: RunTracker, store: Store, patience: Patience, figures: Figures
    ) -> None:
        self.run = run
        self.tracker = tracker
        self.gone = asyncio.Event()
        self._store = store
        self._patience = patience
        self._figures = figures
        self._drives: dict[str, Drive] = {}
        self._barrier: Barrier | None = None
        self._work = Work()
        self._started = asyncio.Event()
        self.cancelled = run.cancel_requested

    def take(self, drives: Sequence[Drive], barrier: Barrier | None) -> None:
        """The drives of the run's hosts; told once, before ``drive``."""
        self._drives = {drive.host: drive for drive in drives}
        self._barrier = barrier
        if self.cancelled:
            self.wish_cancelled()
        elif barrier is not None:
            self._fill(barrier)

    async def drive(self, turns: Turns) -> None:
        """Drive every host to its end, then store how the run ended, however long the
        store fails."""
        aside = [asyncio.create_task(self._aside(self._note_start()))]
        if self._barrier is not None:
            aside.append(asyncio.create_task(self._aside(self._barrier.run())))
        try:
            async with self._work:
                for drive in self._drives.values():
                    self._work.begin(self._through(drive, turns))
                await self._work.done()
        finally:
            turns.forget(self.run.run_id)
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
        await self._conclude()

    async def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        """What ends with the run, and whose defects end nothing else."""
        try:
            await work
        except Exception:  # noqa: BLE001 - see the docstring
            _log.exception("a defect beside the run", run=self.run.run_id)

    async def end(self, state: RunState, problem: Problem | None) -> None:
        """Store the run's end and tell the watchers."""
        await self._store.set_run_state(
            self.run.run_id, state, finished_at_unix_ns=time.time_ns(), problem=problem
        )
        self.tracker.moved(state, problem)
        self._figures.ended(self.run.run_id, state)

    def wish_cancelled(self) -> None:
        """From now on nothing of the run is handed over or released."""
        self.cancelled = True
        if self._barrier is not None:
            self._barrier.close()
        for drive in self._drives.values():
            drive.wish_cancelled()

    async def cancel(self) -> Cancelled:
        """Stop the run on every host; which of them took it.

        The wish is stored: a host that cannot be told is told later, if need be
        by the next collector. A store that fails keeps no host from being told.
        """
        self.wish_cancelled()
        try:
            await self._store.request_cancel(self.run.run_id)
        except StoreError as error:
            _log.warning("wish to cancel not stored", run=self.run.run_id, why=str(error))
        took = await asyncio.gather(*(drive.cancel() for drive in self._drives.values()))
        answers = dict(zip(self._drives, took, strict=True))
        return Cancelled(
            tuple(host for host, ok in answers.items() if ok),
            tuple(host for host, ok in answers.items() if not ok),
        )

    def under_way(self, host: str) -> bool:
        """Whether something is still waited for from this host."""
        return host in self._drives and not self._drives[host].state.ended

    def wake(self, host: str) -> None:
        """The host was heard of."""
        self._drives[host].wake()

    async def take_up(self, host: str, turns: Turns) -> bool:
        """Go on with a host that was given up; false when the run is ending."""
        drive, run_id = self._drives[host], self.run.run_id
        if not self._work.open or not await self._store.reopen_host(run_id, host):
            return False
        if not self._work.open:  # meanwhile: the next start, or the host, finds it open
            return False
        drive.take_up()
        tracker = self.tracker.hosts[host]
        if not tracker.released:
            self.tracker.start_skew_seconds = None
        tracker.state, tracker.message = RunState.RUNNING, "is back, and goes on"
        self.tracker.changed()
        if self._barrier is not None:
            self._fill(self._barrier, host)
        turns.attach(run_id, host)
        self._work.begin(self._through(drive, turns))
        return True

    def stored(self, host: str, events: Sequence[model_pb2.Event], seconds: float) -> None:
        """See ``drive.Observer``."""
        tracker = self.tracker.hosts[host]
        before = (tracker.prepared, tracker.released)
        tracker.saw(events)
        if self._barrier is not None and before != (tracker.prepared, tracker.released):
            self._pass(self._barrier, tracker)
        self.tracker.changed()
        self._started.set()
        self._figures.stored(host, len(events), seconds)

    def prepared(self, host: str) -> None:
        """See ``drive.Observer``."""
        if self._barrier is not None:
            self._barrier.prepared(host)

    def troubled(self, host: str, problem: Problem) -> None:
        """See ``drive.Observer``."""
        self._say(host, f"trying again: {problem.message}")
        self._figures.troubled(host)

    def ended(self, host: str, state: RunState, problem: Problem | None) -> None:
        """See ``drive.Observer``."""
        tracker = self.tracker.hosts[host]
        tracker.state = state
        tracker.message = str(problem) if problem else tracker.message
        if self._barrier is not None:
            self._barrier.ended(host)
        self.tracker.changed()

    async def release(self, host: str, begin_in_seconds: float) -> Released:
        """See ``barrier.Gate``."""
        return await self._drives[host].release(begin_in_seconds)

    def late(self, host: str, seconds: float) -> None:
        """See ``barrier.Gate``."""
        others = f"was not prepared {seconds:g} s after the first host: it begins later"
        self._say(host, others)

    async def began(self, skew_seconds: float) -> None:
        """See ``barrier.Gate``."""
        self.tracker.start_skew_seconds = skew_seconds
        self.tracker.changed()
        try:
            await self._store.set_start_skew(self.run.run_id, skew_seconds)
        except StoreError as error:
            _log.warning("skew of the start not stored", run=self.run.run_id, why=str(error))

    async def _through(self, drive: Drive, turns: Turns) -> None:
        run_id = self.run.run_id
        try:
            await drive.run(turns.come(run_id, drive.host))
        finally:
            turns.leave(run_id, drive.host)

    def _fill(self, barrier: Barrier, *hosts: str) -> None:
        """Put into the barrier where its hosts stand by their rows."""
        trackers = [self.tracker.hosts[host] for host in hosts or self._drives]
        barrier.add(t.host for t in trackers if self.under_way(t.host) and not t.released)
        for tracker in trackers:
            self._pass(barrier, tracker)

    def _pass(self, barrier: Barrier, tracker: HostTracker) -> None:
        if tracker.released:
            barrier.released(tracker.host)
        elif tracker.prepared:
            barrier.prepared(tracker.host)

    def _say(self, host: str, message: str) -> None:
        self.tracker.hosts[host].message = message
        self.tracker.changed()

    async def _conclude(self) -> None:
        drives = list(self._drives.values())
        state = run_end([drive.state for drive in drives], cancelled=self.cancelled)
        problem = None if state is RunState.FINISHED else _summary(drives)
        await until_stored(partial(self.end, state, problem), self._patience)

    async def _note_start(self) -> None:
        await self._started.wait()
        if self.tracker.state is RunState.PENDING:
            self.tracker.moved(RunState.RUNNING)
            write = partial(self._store.set_run_state, self.run.run_id, RunState.RUNNING)
            begun = partial(write, finished_at_unix_ns=None, problem=None)
            await until_stored(begun, self._patience)


def run_end(hosts: Collection[RunState], *, cancelled: bool) -> RunState:
    """How a run ended whose hosts ended so; ``cancelled`` if an operator stopped it."""
    if all(state is RunState.FINISHED for state in hosts):
        return RunState.FINISHED
    if cancelled or RunState.CANCELLED in hosts:
        return RunState.CANCELLED
    if all(state is RunState.FAILED for state in hosts):
        return RunState.FAILED
    return RunState.PARTIAL


def _summary(drives: Sequence[Drive]) -> Problem | None:
    """The first host's problem, and how many other hosts have one."""
    told = [(drive.host, drive.problem) for drive in drives if drive.problem is not None]
    if not told:
        return None
    host, first = told[0]
    others = f" (and {len(told) - 1} more hosts)" if len(told) > 1 else ""
    kind = first.kind if len(told) == 1 else ProblemKind.UNAVAILABLE
    return Problem(kind, f"{host}: {first.message}{others}", first.field, first.value, first.remedy)
