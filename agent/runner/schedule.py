"""The clock of an open loop: when launches are due, and how late they were made."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

SECOND_NS = 1_000_000_000


class Schedule:
    """The schedule of one stage, on CLOCK_MONOTONIC.

    It begins with the first instant that is waited for, which is due at once. Of a
    stage that is taken up again that is the first launch that is missing: so an
    interruption shifts what is left, and makes nothing late.
    """

    def __init__(self, stopped: asyncio.Event) -> None:
        """``stopped``: nothing is waited for any more."""
        self._stopped = stopped
        self._began_ns: int | None = None

    async def until(self, due_seconds: float) -> None:
        """Wait until it is due, or until all stops."""
        if self._began_ns is None:
            self._began_ns = time.monotonic_ns() - round(due_seconds * SECOND_NS)
        left_seconds = -self.late_seconds(due_seconds, time.monotonic_ns())
        with suppress(TimeoutError):
            async with asyncio.timeout(left_seconds):
                await self._stopped.wait()

    def late_seconds(self, due_seconds: float, at_ns: int) -> float:
        """How long after what was due an instant of CLOCK_MONOTONIC is."""
        return (at_ns - (self._began_ns or 0)) / SECOND_NS - due_seconds

    def elapsed_seconds(self) -> float | None:
        """Since it began; ``None`` before."""
        if self._began_ns is None:
            return None
        return (time.monotonic_ns() - self._began_ns) / SECOND_NS
