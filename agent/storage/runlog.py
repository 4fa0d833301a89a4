"""The events of one run on disk, and what readers may see of them.

A run's folder holds ``events.log`` (see ``agent.storage.records``), ``acked``, and the
run's book (``agent.storage.runbook``). An event is visible to readers only once it is
on disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import structlog

from agent.errors import AgentStopping, InvalidInput, SpoolError
from agent.storage.commit import GroupCommit
from agent.storage.records import RecordFile
from agent.storage.runbook import RunBook
from tonnage.model import Event, Notice, Payload, RunFinished, Trial, TrialEnd
from tonnage.wire import WireError, from_bytes, to_bytes

EVENTS = "events.log"

_log = structlog.get_logger("agent.storage.spool")


class RunLog:
    """The events of one run. Made by ``Spool``; used on the event loop."""

    def __init__(self, run_id: str, folder: Path, executor: Executor) -> None:
        """Open the run's files; blocking. Raises ``SpoolCorrupt`` or ``SpoolError``."""
        self.run_id = run_id
        self.folder = folder
        self.book = RunBook(folder, executor)
        self._file = RecordFile(folder / EVENTS)
        self._commit = GroupCommit(self._file, _encode, executor)
        self._executor = executor
        self._when_durable: list[tuple[int, Callable[[], None]]] = []
        self.acked = _read_acked(folder / "acked")
        self.finished = self._ends_with_run_finished()
        self.settled_at = time.monotonic()
        self._left = False

    def _ends_with_run_finished(self) -> bool:
        last = self._file.read(self._file.last - 1, 1, 1) if self._file.last else []
        return bool(last) and isinstance(from_bytes(last[0], Event).payload, RunFinished)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self._file.size + self.book.size_bytes

    @property
    def last(self) -> int:
        """Sequence of the last event recorded, durable or not."""
        return self._commit.last

    @property
    def durable(self) -> int:
        """Sequence of the last event on disk."""
        return self._commit.durable

    @property
    def pending(self) -> int:
        """Events recorded that are not on disk yet."""
        return self._commit.pending

    @property
    def trouble(self) -> SpoolError | None:
        """Why events, or the book, cannot be stored at the moment, if so."""
        return self._commit.trouble or self.book.trouble

    @property
    def settled(self) -> bool:
        """Whether the run has ended and the collector has stored all of it."""
        return self.finished and self.pending == 0 and self.acked >= self.durable

    def record(self, payload: Payload, durable: Callable[[], None] | None = None) -> int:
        """Take one fact and return its sequence; never blocks and never fails.

        ``durable`` is called once it is on disk.
        """
        self.finished = self.finished or isinstance(payload, RunFinished)
        sequence = self._commit.append((time.time_ns(), payload))
        if durable is not None:
            self.call_when_durable(durable)
        return sequence

    def call_when_durable(self, call: Callable[[], None]) -> None:
        """Call once everything recorded so far is on disk."""
        self._when_durable.append((self._commit.last, call))
        if len(self._when_durable) == 1:
            self._watch = asyncio.get_running_loop().create_task(self._call_back())

    async def _call_back(self) -> None:
        while self._when_durable:
            sequence, call = self._when_durable[0]
            await self._commit.wait(sequence)
            call()
            self._when_durable.pop(0)

    async def flushed(self) -> None:
        """Wait until everything recorded so far is on disk."""
        self._commit.hurry()
        await self._commit.wait(self._commit.last)

    async def read(self, after: int, max_events: int, max_bytes: int) -> list[bytes]:
        """Serialised events that follow ``after``, once there are any; empty at the
        run's end. Raises ``SpoolCorrupt``, or ``AgentStopping`` behind the last event of
        a run that the agent has left for its next start."""
        while self.durable <= after:
            if self.finished and self.pending == 0:
                return []
            if self._left and (self.pending == 0 or self.trouble is not None):
                raise AgentStopping(
                    "the agent is stopping", remedy="The run goes on when it is started again."
                )
            await self._commit.moved()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, self._file.read, after, max_events, max_bytes
        )

    async def moved(self) -> None:
        """Wait until more is on disk, or trouble began or ended."""
        await self._commit.moved()

    def leave(self) -> None:
        """End its readers: nothing more will come in this life of the agent."""
        self._left = True
        self._commit.hurry()
        self._commit.wake()

    async def ack(self, sequence: int) -> None:
        """Note that events up to ``sequence`` are stored elsewhere; kept over restarts.

        Raises ``InvalidInput`` for a sequence that was never sent.
        """
        if sequence > self.durable:
            raise InvalidInput(
                "acknowledges an event that does not exist",
                field="sequence",
                value=str(sequence),
                remedy=f"The last event is {self.durable}.",
            )
        if sequence <= self.acked:
            return
        self.acked = sequence
        self.settled_at = time.monotonic()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(
            self._executor, _write_acked, self.folder / "acked", lambda: self.acked
        )

    def events(self) -> list[Event]:
        """Every event on disk, decoded; blocking, for recovery."""
        count = self._file.last
        return [from_bytes(data, Event) for data in self._file.read(0, count, 1 << 62)]

    async def close(self) -> int:
        """Flush and let go; return how many events could not be stored."""
        lost = await self._commit.close()
        await self.book.close()
        if self._when_durable and not lost:
            await self._watch
        elif self._when_durable:
            self._watch.cancel()
        return lost


def _encode(sequence: int, item: tuple[int, Payload]) -> bytes:
    at, payload = item
    try:
        return to_bytes(Event(sequence, at, payload))
    except WireError as error:  # a defect of ours must not stop what follows
        _log.error("a fact could not be stored", reason=str(error))
        return to_bytes(Event(sequence, at, _substitute(payload, error)))


def _substitute(payload: Payload, error: WireError) -> Notice:
    what = type(payload).__name__
    if isinstance(payload, Trial | TrialEnd):
        what += f" {payload.trial_id}"
    return Notice(f"defect of the agent: {what} could not be stored: {error}")


def _read_acked(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0  # sent again: the collector passes over what it has


def _write_acked(path: Path, acked: Callable[[], int]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_text(str(acked()))
        fresh.replace(path)
    except OSError as error:  # only costs sending again after a restart
        _log.warning("cannot keep an acknowledgement", reason=str(error))
