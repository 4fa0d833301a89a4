"""A booting guest's console: which bytes are whose, and the marks they give."""

from __future__ import annotations

import asyncio

from agent.clock import Mark, Timeline
from agent.runtimes.console import Console
from agent.runtimes.qemu.guest import INIT_LINE
from agent.runtimes.qemu.machine import KERNEL_LINE


class BootConsole:
    """Feeds a console and marks ``kernel`` and ``init`` when their lines come, and
    ``workload_mark``, if there is one, when ``workload_line`` does.

    The ready line is looked for only after ``workload_line``, from which on the
    console is the workload's (from the first byte on if it is empty): what kernel or
    system print never makes it ready, even if that line and the workload's come in
    one chunk.
    """

    def __init__(
        self,
        console: Console,
        timeline: Timeline,
        *,
        workload_line: str,
        ready_line: str,
        workload_mark: Mark | None = None,
    ) -> None:
        self._console = console
        self._timeline = timeline
        self._marks = {KERNEL_LINE.encode(): Mark.KERNEL, INIT_LINE.encode(): Mark.INIT}
        self._workload_line = workload_line.encode()
        self._workload_mark = workload_mark
        self._kept_bytes = max(map(len, (*self._marks, self._workload_line))) - 1
        self._ready_line = ready_line
        self._recent: bytes | None = b""
        self._watch: asyncio.Future[int] | None = None
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not workload_line:
            self._begin()

    def feed(self, data: bytes, at_monotonic_ns: int) -> None:
        """Take a chunk that was read at ``at_monotonic_ns``."""
        if self._recent is None:
            self._console.feed(data, at_monotonic_ns)
            return
        seen = self._recent + data
        for line, mark in self._marks.items():
            if line in seen:
                self._timeline.mark(mark, at_monotonic_ns)
        before, line, _ = seen.partition(self._workload_line)
        if not line:
            self._recent = seen[-self._kept_bytes :]
            self._console.feed(data, at_monotonic_ns)
            return
        if self._workload_mark is not None:
            self._timeline.mark(self._workload_mark, at_monotonic_ns)
        split = len(before) + len(line) - len(self._recent)
        self._console.feed(data[:split], at_monotonic_ns)
        self._begin()
        self._console.feed(data[split:], at_monotonic_ns)

    def _begin(self) -> None:
        """From here on the console is the workload's."""
        self._recent = None
        self._watch = self._console.watch(self._ready_line)
        self._begun.set_result(None)

    def end(self) -> None:
        """The console closed."""
        self._console.end()
        if not self._begun.done():
            self._begun.set_result(None)

    async def begun(self) -> bool:
        """Wait until the console is the workload's; false if it closed before."""
        await asyncio.shield(self._begun)
        return self._watch is not None

    async def ready_at(self) -> int | None:
        """Wait for the ready line; the instant it was read in ``CLOCK_MONOTONIC``
        nanoseconds, or ``None`` if the workload never began. Raises ``ConsoleEnded``."""
        await self.begun()
        return None if self._watch is None else await asyncio.shield(self._watch)
