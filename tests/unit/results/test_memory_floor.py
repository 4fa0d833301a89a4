"""Rows of a search for the smallest memory, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

from collector.model import HostFact, RunData
from collector.reports.memory_floors import failed_told, floor_told
from collector.reports.rows import MemoryFloorRow
from collector.results.memory_floor import memory_floor_rows
from collector.results.subjects import Subjects
from tests.runs_made_up import host_run, run
from tonnage.model import MemoryFloor, MemoryFloorStage, MemoryLevel, Stage

MIB = 1 << 20


def row_of(found: MemoryFloor | None) -> MemoryFloorRow:
    stage = Stage("m", MemoryFloorStage("fake", 16 * MIB, 80 * MIB, 2, 10))
    host = host_run()
    host = replace(host, plan=replace(host.plan, stages=(stage,)))
    facts = (HostFact("h1", 1, 1, found),) if found is not None else ()
    data = RunData(run(), (host,), (), facts)
    (row,) = memory_floor_rows(data, Subjects(data))
    return row


def test_a_floor_is_told_with_the_largest_size_that_failed() -> None:
    levels = (
        MemoryLevel(80 * MIB, 2, 2),
        MemoryLevel(16 * MIB, 1, 0, "no memory"),
        MemoryLevel(48 * MIB, 2, 2),
        MemoryLevel(47 * MIB, 2, 1, "timed out"),
    )
    row = row_of(MemoryFloor("m", 48 * MIB, levels))
    assert (row.floor_bytes, row.failed_bytes, row.reason) == (48 * MIB, 47 * MIB, None)
    assert [(each.ready, each.error) for each in row.tried[-2:]] == [(2, None), (1, "timed out")]
    assert (floor_told(row), failed_told(row)) == ("48 MiB", "47 MiB")


def test_a_floor_at_the_bound_is_at_most_that() -> None:
    levels = (MemoryLevel(80 * MIB, 2, 2), MemoryLevel(16 * MIB, 2, 2))
    row = row_of(MemoryFloor("m", 16 * MIB, levels, bounded=True))
    assert row.failed_bytes is None
    assert floor_told(row) == "≤ 16 MiB"


def test_without_a_floor_the_row_says_why() -> None:
    failed = MemoryFloor("m", None, (MemoryLevel(80 * MIB, 1, 0, "no kernel"),))
    assert "even the largest size did not start: no kernel" in (row_of(failed).reason or "")
    cut = MemoryFloor("m", None, (MemoryLevel(80 * MIB, 2, 2),))
    assert row_of(cut).reason == "the search was cut short"
    assert row_of(None).floor_bytes is None
    assert "not made" in (row_of(None).reason or "")
