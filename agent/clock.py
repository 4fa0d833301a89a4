"""The one clock, and the timeline of a trial on it.

Every duration is taken on the host's ``CLOCK_MONOTONIC``; a guest's clock is
never read. Wall time is kept once per trial, for people and charts alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Mark(StrEnum):
    """The instants of a trial after its request (see docs/measuring.md)."""

    ACCEPTED = "accepted"
    CREATED = "created"
    KERNEL = "kernel"
    INIT = "init"
    UNIT = "unit"
    RESTORED = "restored"
    READY = "ready"
    STOPPED = "stopped"
    DESTROYED = "destroyed"


class Timeline:
    """The marks of one trial, in nanoseconds after its request.

    A mark is set once: the first evidence of an instant counts, whoever brings
    it. ``mark`` may be called from any thread.
    """

    __slots__ = ("_marks", "_requested_ns", "requested_at_unix_ns")

    def __init__(self) -> None:
        self.requested_at_unix_ns = time.time_ns()
        self._marks: dict[Mark, int] = {}
        self._requested_ns = time.monotonic_ns()

    @property
    def requested_ns(self) -> int:
        """The request, on CLOCK_MONOTONIC."""
        return self._requested_ns

    def mark(self, mark: Mark, at_monotonic_ns: int | None = None) -> None:
        """Record ``mark`` now, or at an instant read earlier; later calls change nothing."""
        instant = time.monotonic_ns() if at_monotonic_ns is None else at_monotonic_ns
        self._marks.setdefault(mark, instant - self._requested_ns)

    def get(self, mark: Mark) -> int | None:
        """Nanoseconds from the request to ``mark``, or ``None`` if it was not seen."""
        return self._marks.get(mark)

    def in_order(self) -> bool:
        """Whether every mark lies after the one before it and none before the request.

        A timeline out of order is a defect of the instrument: it is stored and
        flagged, never repaired.
        """
        seen = [self._marks[mark] for mark in Mark if mark in self._marks]
        return all(a <= b for a, b in zip([0, *seen], seen, strict=False))


def _boot_time_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class BootClock:
    """Time since the host's kernel was booted, and which boot that was.

    ``now_ns`` counts on while the host sleeps and over restarts of the agent; no
    step of the wall clock moves it. Instants of two boots cannot be compared.
    """

    boot_id: str
    now_ns: Callable[[], int] = _boot_time_ns

    @classmethod
    def of_this_host(cls, proc: Path = Path("/proc")) -> BootClock:
        """The clock of the boot that this process runs in."""
        return cls((proc / "sys/kernel/random/boot_id").read_text().strip())
