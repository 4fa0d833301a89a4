"""The console of an instance: what it printed, and who waits for what."""

from __future__ import annotations

import asyncio
from collections import deque


class Console:
    """Takes console bytes as they arrive and tells when a line holds a text.

    A text is looked for within lines, the unfinished last one included, so a
    ready line counts at its text, not at its newline. Not thread-safe: feed it
    on the event loop, with the instant each chunk was read.
    """

    def __init__(self, keep_lines: int = 60, max_line_bytes: int = 4096) -> None:
        self._lines: deque[bytes] = deque(maxlen=keep_lines)
        self._open = b""
        self._max_line_bytes = max_line_bytes
        self._watches: list[tuple[bytes, asyncio.Future[int]]] = []

    def feed(self, data: bytes, at_monotonic_ns: int) -> None:
        """Take a chunk that was read at ``at_monotonic_ns``."""
        *whole, self._open = (self._open + data).split(b"\n")
        lines = [*whole, self._open]
        self._lines.extend(line.rstrip(b"\r") for line in whole)
        self._open = self._open[-self._max_line_bytes :]
        self._resolve(lines, at_monotonic_ns)

    def watch(self, text: str) -> asyncio.Future[int]:
        """Wait for ``text`` in output that comes from now on.

        The future gives the ``CLOCK_MONOTONIC`` nanoseconds at which the chunk
        that completed the text was read. Cancel it to stop watching.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._watches.append((text.encode(), future))
        return future

    def tail(self) -> str:
        """The last lines, for people."""
        lines = [*self._lines, self._open] if self._open else [*self._lines]
        return b"\n".join(lines).decode("utf-8", "replace")

    def _resolve(self, lines: list[bytes], at_monotonic_ns: int) -> None:
        waiting = []
        for text, future in self._watches:
            if future.done():
                continue
            if any(text in line for line in lines):
                future.set_result(at_monotonic_ns)
            else:
                waiting.append((text, future))
        self._watches = waiting
