"""How long a run has been at work, and when that is enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent import guards
from agent.runner.equipment import Equipment
from agent.storage.runbook import RunBook, Stop
from tonnage.model import Plan, StopReason

# How exactly the time used is known after a reboot.
STAMP_SECONDS = 10.0

End = Callable[[Stop, bool], None]


class WorkingTime:
    """The time of one run over all lives of its agent; no step of the wall clock moves it."""

    def __init__(self, plan: Plan, equipment: Equipment, book: RunBook) -> None:
        self._plan_seconds = plan.time_limit_seconds
        self._own_seconds = equipment.limits.max_run_seconds
        self._clock = equipment.clock
        self._book = book

    def used_seconds(self) -> float:
        """Of the time limit, until now."""
        return self._book.used_seconds(self._clock)

    @contextmanager
    def at_work(self, end: End) -> Iterator[None]:
        """Count the block as work, and call ``end`` when a limit is reached: with ``False``
        at the plan's, as starts in flight may still become ready; with ``True`` at the
        agent's own, which ends those too, whatever time the plan gives them."""
        loop = asyncio.get_running_loop()
        stamps = loop.create_task(self._stamp())
        timers = [self._timer(self._own_seconds, end, True)]
        if self._plan_seconds < self._own_seconds:
            timers.append(self._timer(self._plan_seconds, end, False))
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()
            stamps.cancel()
            self._book.time(self._clock)

    def _timer(self, limit_seconds: float, end: End, now: bool) -> asyncio.TimerHandle:
        stop = Stop(StopReason.TIME_LIMIT, guards.out_of_time(limit_seconds).problem.message)
        left = limit_seconds - self.used_seconds()
        return asyncio.get_running_loop().call_later(left, end, stop, now)

    async def _stamp(self) -> None:
        """Note from time to time that the run is at work: a reboot ends its clock."""
        while True:
            self._book.time(self._clock)
            await asyncio.sleep(STAMP_SECONDS)
