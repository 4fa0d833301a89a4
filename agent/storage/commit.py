"""Group commit: many records taken at once, one fsync in a thread for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

from agent.errors import SpoolError
from agent.storage.records import RecordFile

T = TypeVar("T")

RETRY_SECONDS = 0.5
# What nobody waits for shares its fsync with what comes this soon after it.
LINGER_SECONDS = 0.05
MAX_BATCH = 2000


class GroupCommit(Generic[T]):
    """The asynchronous face of one ``RecordFile``.

    ``append`` never blocks and never fails; what it took becomes durable in
    order, in batches, in ``executor``: at once if it is ``urgent``, else after
    ``LINGER_SECONDS`` at most, so that a busy run costs few of the host's fsyncs.
    When the disk refuses, ``trouble`` says
    so, what was taken is kept in memory, and writing is tried again until it
    succeeds. ``encode(number, item)`` runs in the executor.
    """

    def __init__(
        self, file: RecordFile, encode: Callable[[int, T], bytes], executor: Executor
    ) -> None:
        self._file = file
        self._encode = encode
        self._executor = executor
        self._pending: list[T] = []
        self._flushing: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._nudge = asyncio.Event()
        self._closing = False
        self._clearing = False
        self.durable = file.last
        self.trouble: SpoolError | None = None

    @property
    def pending(self) -> int:
        """Records taken that are not durable yet."""
        return len(self._pending)

    @property
    def last(self) -> int:
        """The number of the last record taken."""
        return self.durable + len(self._pending)

    def append(self, item: T, *, urgent: bool = False) -> int:
        """Take ``item`` and return its number."""
        self._pending.append(item)
        if urgent:
            self.hurry()
        self._work()
        return self.last

    def clear(self) -> None:
        """Drop every record that is durable; what is pending is written after that."""
        self._clearing = True
        self._work()

    def _work(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def wait(self, number: int) -> None:
        """Wait until record ``number`` is durable."""
        while self.durable < number:
            await self._moved.wait()

    async def moved(self) -> None:
        """Wait until more is durable, or trouble began or ended."""
        await self._moved.wait()

    def wake(self) -> None:
        """End every ``moved``: something else than the file has changed."""
        self._announce()

    def hurry(self) -> None:
        """Write what is pending now: somebody waits for it, or room may have been made."""
        self._nudge.set()

    async def close(self) -> int:
        """Flush, let go of the file, and return how many records could not be stored."""
        self._closing = True
        self.hurry()
        if self._flushing is not None:
            await asyncio.wait([self._flushing])
        self._file.close()
        return self.pending

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending or self._clearing:
            if not self._closing:
                await self._rest(LINGER_SECONDS if self.trouble is None else RETRY_SECONDS)
            self._nudge.clear()
            if self._clearing:
                self._clearing = False
                await loop.run_in_executor(self._executor, self._file.clear)
            batch = self._pending[:MAX_BATCH]
            try:
                await loop.run_in_executor(self._executor, self._write, self.durable + 1, batch)
            except SpoolError as error:
                self.trouble = error
                self._announce()
                if self._closing:
                    return
            else:
                self.trouble = None
                del self._pending[: len(batch)]
                self.durable += len(batch)
                self._announce()

    def _write(self, first: int, batch: list[T]) -> None:
        self._file.append([self._encode(first + i, item) for i, item in enumerate(batch)])

    def _announce(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _rest(self, seconds: float) -> None:
        """Wait for the next hurry, or so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._nudge.wait()
        except TimeoutError:
            pass
