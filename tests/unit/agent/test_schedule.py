"""The clock of an open loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from agent.runner.schedule import Schedule


async def test_the_first_instant_is_due_at_once_and_the_rest_follow_it() -> None:
    schedule = Schedule(asyncio.Event())
    assert schedule.elapsed_seconds() is None
    await schedule.until(100.0)
    begun = time.monotonic_ns()
    assert schedule.late_seconds(100.0, begun) == pytest.approx(0.0, abs=0.5)
    await schedule.until(100.05)
    assert schedule.late_seconds(100.05, time.monotonic_ns()) >= 0
    assert (schedule.elapsed_seconds() or 0) >= 100.05


async def test_what_is_overdue_is_not_waited_for() -> None:
    schedule = Schedule(asyncio.Event())
    await schedule.until(0.0)
    await asyncio.wait_for(schedule.until(-1000.0), 5)
    assert schedule.late_seconds(-1000.0, time.monotonic_ns()) >= 1000


async def test_a_stop_ends_every_wait() -> None:
    stopped = asyncio.Event()
    schedule = Schedule(stopped)
    await schedule.until(0.0)
    waiting = asyncio.ensure_future(schedule.until(1000.0))
    await asyncio.sleep(0)
    stopped.set()
    await asyncio.wait_for(waiting, 5)
