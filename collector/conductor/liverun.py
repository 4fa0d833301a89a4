"""A run that has not ended: its drives, its progress, and how it will have ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import structlog

from collector.conductor.drive import Drive
from collector.conductor.progress import RunTracker
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

    def __init__(self, run: Run, tracker: RunTracker, store: Store, figures: Figures) -> None:
        self.run = run
        self.tracker = tracker
        self._store = store
        self._figures = figures
        self._drives: Sequence[Drive] = ()
        self._started = asyncio.Event()
        self._cancelled = run.cancel_requested

    def take(self, drives: Sequence[Drive]) -> None:
        """The drives of the run's hosts; told once, before ``drive``."""
        self._drives = drives
        if self._cancelled:
            for drive in drives:
                drive.wish_cancelled()

    async def drive(self, turn: Callable[[str], asyncio.Lock]) -> None:
        """Drive every host to its end, then store how the run ended.

        Raises ``StoreError`` when that could not be stored.
        """
        drives = self._drives
        note = asyncio.create_task(self._note_start())
        try:
            work = [drive.run(turn(drive.host)) for drive in drives]
            ends = await asyncio.gather(*work, return_exceptions=True)
        finally:
            note.cancel()
            await asyncio.gather(note, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        state = run_end([drive.state for drive in drives], cancelled=self._cancelled)
        await self.end(state, None if state is RunState.FINISHED else _summary(drives))

    async def end(self, state: RunState, problem: Problem | None) -> None:
        """Store the run's end and tell the watchers."""
        await self._store.set_run_state(
            self.run.run_id, state, finished_at_unix_ns=time.time_ns(), problem=problem
        )
        self.tracker.moved(state, problem)
        self._figures.ended(self.run.run_id, state)

    async def cancel(self) -> Cancelled:
        """Stop the run on every host; which of them took it.

        The wish is stored: a host that cannot be told is told later, if need be
        by the next collector. A store that fails keeps no host from being told.
        """
        self._cancelled = True
        try:
            await self._store.request_cancel(self.run.run_id)
        except StoreError as error:
            _log.warning("wish to cancel not stored", run=self.run.run_id, why=str(error))
        took = await asyncio.gather(*(drive.cancel() for drive in self._drives))
        reached = [d.host for d, ok in zip(self._drives, took, strict=True) if ok]
        unreached = [d.host for d, ok in zip(self._drives, took, strict=True) if not ok]
        return Cancelled(tuple(reached), tuple(unreached))

    def stored(self, host: str, events: Sequence[model_pb2.Event], seconds: float) -> None:
        """See ``drive.Observer``."""
        self.tracker.hosts[host].saw(events)
        self.tracker.changed()
        self._started.set()
        self._figures.stored(host, len(events), seconds)

    def troubled(self, host: str, problem: Problem) -> None:
        """See ``drive.Observer``."""
        self.tracker.hosts[host].message = f"trying again: {problem.message}"
        self.tracker.changed()
        self._figures.troubled(host)

    def ended(self, host: str, state: RunState, problem: Problem | None) -> None:
        """See ``drive.Observer``."""
        tracker = self.tracker.hosts[host]
        tracker.state = state
        tracker.message = str(problem) if problem else tracker.message
        self.tracker.changed()

    async def _note_start(self) -> None:
        await self._started.wait()
        if self.tracker.state is RunState.PENDING:
            self.tracker.moved(RunState.RUNNING)
            await self._store.set_run_state(
                self.run.run_id, RunState.RUNNING, finished_at_unix_ns=None, problem=None
            )


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
