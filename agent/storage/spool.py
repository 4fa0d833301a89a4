"""The durable outbox: what runs found, kept until the collector has stored it.

One folder a run (see ``agent.storage.runlog``), all under one size cap.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path

import structlog

from agent.errors import InvalidInput, NoSuchRun, SpoolCorrupt, SpoolError, SpoolFull, TonnageError
from agent.storage.known import KnownRuns
from agent.storage.records import RecordFile
from agent.storage.runbook import NAME as BOOK
from agent.storage.runlog import EVENTS, RunLog
from tonnage.model import Plan
from tonnage.wire import WireError

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_PENDING = 10_000
# What a run may still write above the cap once its launching has paused: its
# trials in flight, its ends, its last event.
_RESERVE_BYTES = 256 << 10

_log = structlog.get_logger("agent.storage.spool")


class Spool:
    """The logs of all runs below one folder, under one size cap."""

    def __init__(
        self, folder: Path, cap_bytes: int, keep_seconds: float, executor: Executor
    ) -> None:
        """Open every run found below ``folder``; blocking.

        A run whose log is corrupt is left as it is and answered with the
        reason. Raises ``SpoolError`` when the folder cannot be used.
        """
        self._folder = folder
        self.cap_bytes = cap_bytes
        self._keep_seconds = keep_seconds
        self._executor = executor
        self._runs: dict[str, RunLog] = {}
        self.corrupt: dict[str, SpoolCorrupt] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = sorted(path for path in folder.iterdir() if path.is_dir())
        except OSError as error:
            raise SpoolError(f"cannot use {folder}: {error.strerror}") from error
        self._known = KnownRuns(folder / "known-runs")
        for path in found:
            self._open(path)
        self._learn([*self._runs, *self.corrupt])

    def _learn(self, run_ids: Iterable[str]) -> None:
        """Know the runs that are there: their agent may have died before it noted them."""
        try:
            self._known.add(run_ids)
        except SpoolError as error:
            _log.warning("cannot note the runs that are there", reason=str(error))

    def _open(self, path: Path) -> None:
        try:
            if _never_began(path):
                _remove(path)
                return
            self._runs[path.name] = RunLog(path.name, path, self._executor)
        except SpoolCorrupt as error:
            _log.error("a run's events are corrupt", run=path.name, reason=str(error))
            self.corrupt[path.name] = error
        except WireError as error:
            self.corrupt[path.name] = SpoolCorrupt(f"{path}: {error}")

    def give_up(self, log: RunLog, why: Exception) -> None:
        """Leave a run as it is, and answer for it with the reason: it cannot be read."""
        del self._runs[log.run_id]
        self.corrupt[log.run_id] = told = SpoolCorrupt(f"{log.folder}: {why}")
        _log.error("a run cannot be read", run=log.run_id, reason=str(told))

    @property
    def runs(self) -> tuple[RunLog, ...]:
        """The logs, in the order they were opened or made."""
        return tuple(self._runs.values())

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(run.size_bytes for run in self.runs)

    @property
    def pending(self) -> int:
        """Events that are not on disk yet."""
        return sum(run.pending for run in self.runs)

    @property
    def unacknowledged(self) -> int:
        """Events recorded that the collector has not said it stored."""
        return sum(max(run.last - run.acked, 0) for run in self.runs)

    def knows(self, run_id: str) -> bool:
        """Whether there is, or was, such a run; of those long gone, the latest."""
        return run_id in self._runs or run_id in self.corrupt or run_id in self._known

    def get(self, run_id: str) -> RunLog:
        """The run's log. Raises ``NoSuchRun`` or ``SpoolCorrupt``."""
        if run_id in self.corrupt:
            raise self.corrupt[run_id]
        if run_id not in self._runs:
            raise NoSuchRun("this agent knows no such run", field="run_id", value=run_id)
        return self._runs[run_id]

    async def create(self, plan: Plan) -> RunLog:
        """Make the log of a new run, its plan durably in its book.

        Raises ``InvalidInput`` for an id that is no name, ``SpoolFull`` when
        there is no room to begin with, ``SpoolError``. Nothing is left then.
        """
        run_id = plan.run_id
        if not _RUN_ID.fullmatch(run_id):
            raise InvalidInput(
                "must be 1 to 64 letters, digits, dots, dashes or underscores",
                field="run_id",
                value=run_id,
            )
        await self.sweep()
        if (full := self.full()) is not None:
            raise full
        loop = asyncio.get_running_loop()
        self._runs[run_id] = await loop.run_in_executor(self._executor, self._make, plan)
        return self._runs[run_id]

    def _make(self, plan: Plan) -> RunLog:
        folder = self._folder / plan.run_id
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SpoolError(f"cannot make {folder}: {error.strerror}") from error
        try:
            log = RunLog(plan.run_id, folder, self._executor)
            log.book.begin(plan)
            self._known.add([plan.run_id])
        except TonnageError:
            self._known.forget(plan.run_id)
            _remove(folder)
            raise
        return log

    def full(self) -> SpoolFull | None:
        """Why no launch may begin, if the outbox is at its cap."""
        used = self.size_bytes
        if used + _RESERVE_BYTES <= self.cap_bytes:
            return None
        return SpoolFull(
            f"the spool holds {used} of {self.cap_bytes} bytes",
            remedy="Bring the collector back, or raise spool_cap_bytes.",
        )

    async def room(
        self,
        log: RunLog,
        patience_seconds: float,
        stopped: asyncio.Event,
        elsewhere: Callable[[], SpoolError | None] = lambda: None,
    ) -> float:
        """Return once another launch can be recorded, and after how many seconds of pause.

        ``elsewhere`` tells of trouble beside the spool's own. Returns early when
        ``stopped``. Raises ``SpoolFull`` after ``patience_seconds``.
        """
        began = time.monotonic()
        while (trouble := self._obstacle(log) or elsewhere()) and not stopped.is_set():
            if time.monotonic() - began >= patience_seconds:
                why = trouble.problem
                raise SpoolFull(
                    f"launching paused {patience_seconds:g} s, still there is no room:"
                    f" {why.message}",
                    remedy=why.remedy,
                ) from trouble
            await self.sweep()
            await self._changed(log, stopped)
        return time.monotonic() - began

    def _obstacle(self, log: RunLog) -> SpoolError | None:
        if log.trouble is not None:
            return log.trouble
        if log.pending > _MAX_PENDING:
            return SpoolFull(f"{log.pending} events wait for the disk")
        return self.full()

    async def _changed(self, log: RunLog, stopped: asyncio.Event) -> None:
        """Wait for the log or the stop, a little: an ack of another run also makes room."""
        waits = [asyncio.ensure_future(log.moved()), asyncio.ensure_future(stopped.wait())]
        await asyncio.wait(waits, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def sweep(self) -> None:
        """Drop runs that ended and were acknowledged: after a while, or at once at the cap."""
        pressed = self.full() is not None
        for run in self.runs:
            aged = time.monotonic() - run.settled_at > self._keep_seconds
            if not (run.settled and (aged or pressed)):
                continue
            if self._runs.pop(run.run_id, None) is not None:  # else by a sweep beside this one
                await run.close()
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._executor, _remove, run.folder)

    async def close(self) -> int:
        """Flush every log; return how many events could not be stored."""
        return sum([await run.close() for run in self.runs])


def _never_began(folder: Path) -> bool:
    """Whether the agent died before the plan was kept whole: nobody was told that the run
    began. Raises ``SpoolCorrupt`` or ``SpoolError``."""
    if _has_bytes(folder / EVENTS):
        return False
    if not _has_bytes(folder / BOOK):
        return True
    book = RecordFile(folder / BOOK)  # cuts off what was written in part
    book.close()
    return book.last == 0


def _has_bytes(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
