"""The console of an instance: what it printed, and who waits for what."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

ANSWER_BYTES = 1 << 20


class ConsoleEnded(Exception):
    """The console closed before the awaited text came."""


class ConsoleFlood(Exception):
    """More was said than is kept of an answer."""


@dataclass(slots=True)
class _Watch:
    """A text that is waited for.

    ``skip`` bytes of the unfinished line were there before the watch began.
    """

    text: bytes
    future: asyncio.Future[int]
    skip: int


@dataclass(slots=True)
class _Record:
    """What the console says from now on, until a text."""

    until: bytes
    future: asyncio.Future[str]
    said: bytearray


class Console:
    """Takes console bytes as they arrive and tells when a line holds a text.

    A text is looked for within lines, the unfinished last one included, so a
    ready line counts at its text, not at its newline. Lines longer than
    ``max_line_bytes`` keep their end. Not thread-safe: feed it on the event
    loop, with the instant each chunk was read.
    """

    def __init__(self, keep_lines: int = 60, max_line_bytes: int = 4096) -> None:
        self._lines: deque[bytes] = deque(maxlen=keep_lines)
        self._open = b""
        self._keep_lines = keep_lines
        self._max_line_bytes = max_line_bytes
        self._watches: list[_Watch] = []
        self._records: list[_Record] = []
        self._ended = False
        self._end_waiters: list[asyncio.Future[None]] = []

    @property
    def ended(self) -> bool:
        """Whether ``end`` was called."""
        return self._ended

    def feed(self, data: bytes, at_monotonic_ns: int) -> None:
        """Take a chunk that was read at ``at_monotonic_ns``."""
        buffer = self._open + data
        if self._watches:
            self._resolve(buffer, at_monotonic_ns)
        if self._records:
            self._take_down(data)
        # A text holds no newline, so only the end of a chunk can matter later:
        # at most keep_lines of it are split off, however long it is.
        *whole, rest = buffer.rsplit(b"\n", self._keep_lines)
        if whole:
            whole[0] = whole[0].rpartition(b"\n")[2]
            self._lines.extend(line[-self._max_line_bytes :].rstrip(b"\r") for line in whole)
        self._open = rest[-self._max_line_bytes :]
        self._forget_skips(bool(whole), len(rest) - len(self._open))

    def end(self) -> None:
        """The console closed: open watches raise ``ConsoleEnded``. Idempotent."""
        self._ended = True
        futures: list[asyncio.Future[Any]] = [watch.future for watch in self._watches]
        futures += [record.future for record in self._records]
        self._watches, self._records = [], []
        for future in futures:
            _end(future)
        waiters, self._end_waiters = self._end_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_ended(self) -> None:
        """Wait until ``end`` was called."""
        if not self._ended:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._end_waiters.append(waiter)
            await waiter

    def watch(self, text: str) -> asyncio.Future[int]:
        """Wait for ``text`` in output that comes from now on.

        The future gives the ``CLOCK_MONOTONIC`` nanoseconds at which the chunk
        that completed the text was read; it raises ``ConsoleEnded`` if the
        console closes first. An empty text is found in the next byte. Cancel
        the future to stop watching.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self._ended:
            _end(future)
        else:
            self._watches.append(_Watch(text.encode(), future, len(self._open)))
        return future

    def record(self, until: str) -> asyncio.Future[str]:
        """Take down what is said from now on, up to the end of the text ``until``.

        The future raises ``ConsoleEnded`` if the console closes first, and
        ``ConsoleFlood`` after ``ANSWER_BYTES`` without that text. Cancel it to stop.
        """
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if self._ended:
            _end(future)
        else:
            self._records.append(_Record(until.encode(), future, bytearray()))
        return future

    def tail(self) -> str:
        """The last lines, for people."""
        lines = [*self._lines, self._open] if self._open else [*self._lines]
        return b"\n".join(lines).decode("utf-8", "replace")

    def _resolve(self, buffer: bytes, at_monotonic_ns: int) -> None:
        waiting = []
        for watch in self._watches:
            if watch.future.done():
                continue
            if buffer.find(watch.text, watch.skip) >= 0:
                watch.future.set_result(at_monotonic_ns)
            else:
                waiting.append(watch)
        self._watches = waiting

    def _take_down(self, data: bytes) -> None:
        for record in self._records:
            if record.future.done():
                continue
            record.said += data
            end = record.said.find(record.until)
            if end >= 0:
                said = record.said[: end + len(record.until)]
                record.future.set_result(said.decode("utf-8", "replace"))
            elif len(record.said) > ANSWER_BYTES:
                record.future.set_exception(ConsoleFlood())
        self._records = [record for record in self._records if not record.future.done()]

    def _forget_skips(self, line_ended: bool, cut_bytes: int) -> None:
        for watch in self._watches:
            watch.skip = 0 if line_ended else max(0, watch.skip - cut_bytes)


def _end(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(ConsoleEnded())
        future.exception()  # whoever does not ask is not interested
