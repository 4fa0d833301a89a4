"""A booting guest's console: which bytes are whose, and the marks they give."""

from __future__ import annotations

import asyncio

from agent.clock import Mark, Timeline
from agent.runtimes.console import Console
from agent.runtimes.qemu.guest import INIT_LINE
from agent.runtimes.qemu.machine import KERNEL_LINE

_KEPT_BYTES = max(len(KERNEL_LINE), len(INIT_LINE)) - 1


class BootConsole:
    """Feeds a console and marks ``kernel`` and ``init`` when their lines come.

    The workload's ready line is looked for only after init's: what the kernel
    prints never makes a workload ready, even if init's line and the workload's
    come in one chunk.
    """

    def __init__(self, console: Console, timeline: Timeline, ready_line: str) -> None:
        self._console = console
        self._timeline = timeline
        self._ready_line = ready_line
        self._recent: bytes | None = b""
        self._watch: asyncio.Future[int] | None = None
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def feed(self, data: bytes, at_monotonic_ns: int) -> None:
        """Take a chunk that was read at ``at_monotonic_ns``."""
        if self._recent is None:
            self._console.feed(data, at_monotonic_ns)
            return
        seen = self._recent + data
        if KERNEL_LINE.encode() in seen:
            self._timeline.mark(Mark.KERNEL, at_monotonic_ns)
        before, line, _ = seen.partition(INIT_LINE.encode())
        if not line:
            self._recent = seen[-_KEPT_BYTES:]
            self._console.feed(data, at_monotonic_ns)
            return
        self._timeline.mark(Mark.INIT, at_monotonic_ns)
        split = len(before) + len(line) - len(self._recent)
        self._recent = None
        self._console.feed(data[:split], at_monotonic_ns)
        self._watch = self._console.watch(self._ready_line)
        self._begun.set_result(None)
        self._console.feed(data[split:], at_monotonic_ns)

    def end(self) -> None:
        """The console closed."""
        self._console.end()
        if not self._begun.done():
            self._begun.set_result(None)

    async def ready_at(self) -> int | None:
        """Wait for the ready line; the instant it was read in ``CLOCK_MONOTONIC``
        nanoseconds, or ``None`` if init never began. Raises ``ConsoleEnded``."""
        await asyncio.shield(self._begun)
        return None if self._watch is None else await asyncio.shield(self._watch)
