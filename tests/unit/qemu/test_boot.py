"""Marks come from the console's first evidence of each, in order."""

from __future__ import annotations

import asyncio

import pytest

from agent.clock import Mark, Timeline
from agent.runtimes.console import Console, ConsoleEnded
from agent.runtimes.qemu.boot import BootConsole
from agent.runtimes.qemu.guest import WORKLOAD_LINE

STREAM = (
    b"[    0.000000] Linux version 6.1 READY\r\nTONNAGE INIT\r\nTONNAGE WORKLOAD\r\nhello READY\n"
)


def _boot(mark: Mark | None = None) -> tuple[BootConsole, Timeline, Console]:
    timeline, console = Timeline(), Console()
    boot = BootConsole(
        console, timeline, workload_line=WORKLOAD_LINE, ready_line="READY", workload_mark=mark
    )
    return boot, timeline, console


async def test_one_chunk_may_hold_everything() -> None:
    boot, timeline, console = _boot()
    boot.feed(STREAM, 1 << 62)
    assert await boot.ready_at() == 1 << 62
    assert timeline.get(Mark.KERNEL) is not None
    assert timeline.get(Mark.INIT) is not None
    assert "hello READY" in console.tail()


async def test_bytes_may_come_one_by_one() -> None:
    boot, timeline, console = _boot()
    for instant, byte in enumerate(STREAM):
        boot.feed(bytes([byte]), instant)
    kernel, init = timeline.get(Mark.KERNEL), timeline.get(Mark.INIT)
    assert kernel is not None
    assert init is not None
    assert init - kernel == STREAM.index(b" INIT") + 4 - STREAM.index(b"version") - 6
    assert await boot.ready_at() == STREAM.rindex(b"READY") + 4
    assert console.tail().splitlines() == STREAM.decode().splitlines()


async def test_where_the_workload_begins_is_a_mark_where_it_is_asked_for() -> None:
    for mark in (None, Mark.UNIT):
        boot, timeline, _ = _boot(mark)
        for instant, byte in enumerate(STREAM, timeline.requested_ns):
            boot.feed(bytes([byte]), instant)
        ends = STREAM.index(WORKLOAD_LINE.encode()) + len(WORKLOAD_LINE) - 1
        assert timeline.get(Mark.UNIT) == (None if mark is None else ends)
        assert timeline.in_order()


async def test_a_console_without_such_a_line_has_no_mark_of_it() -> None:
    timeline = Timeline()
    boot = BootConsole(
        Console(), timeline, workload_line="", ready_line="READY", workload_mark=Mark.UNIT
    )
    boot.feed(STREAM, 5)
    assert await boot.ready_at() == 5
    assert timeline.get(Mark.UNIT) is None


async def test_what_the_kernel_prints_makes_no_workload_ready() -> None:
    boot, _, _ = _boot()
    boot.feed(b"Linux version READY\nREADY\n", 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await boot.ready_at()


async def test_a_console_that_ends_before_init_gives_no_instant() -> None:
    boot, _, _ = _boot()
    boot.feed(b"Linux version 6.1\nKernel panic\n", 1)
    boot.end()
    assert await boot.ready_at() is None


async def test_a_console_that_ends_after_init_says_so() -> None:
    boot, _, _ = _boot()
    boot.feed(b"TONNAGE INIT\nTONNAGE WORKLOAD\nno luck\n", 1)
    boot.end()
    with pytest.raises(ConsoleEnded):
        await boot.ready_at()


async def test_a_cancelled_wait_can_be_repeated() -> None:
    boot, _, _ = _boot()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await boot.ready_at()
    boot.feed(STREAM, 5)
    assert await boot.ready_at() == 5
