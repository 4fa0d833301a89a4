"""The console of an instance: what it printed, and who waits for what."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass


class ConsoleEnded(Exception):
    """The console closed before the awaited text came."""


@dataclass(slots=True)
class _Watch:
    """A text that is waited for.

    ``skip`` bytes of the unfinished line were there before the watch began.
    """

    text: bytes
    future: asyncio.Future[int]
    skip: int


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
        watches, self._watches = self._watches, []
        for watch in watches:
            if not watch.future.done():
                watch.future.set_exception(ConsoleEnded())
                watch.future.exception()  # whoever does not ask is not interested
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
            future.set_exception(ConsoleEnded())
            future.exception()
        else:
            self._watches.append(_Watch(text.encode(), future, len(self._open)))
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

    def _forget_skips(self, line_ended: bool, cut_bytes: int) -> None:
        for watch in self._watches:
            watch.skip = 0 if line_ended else max(0, watch.skip - cut_bytes)
