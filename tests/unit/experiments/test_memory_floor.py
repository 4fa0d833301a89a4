"""The search for the smallest memory: what it tries, what it concludes, how it ends."""

from __future__ import annotations

from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.experiments.base import Launch
from agent.experiments.memory_floor import MEBIBYTE, MemoryFloorSearch
from tests.unit.experiments.shell import CANCELLED, Ending, Shell
from tonnage.model import MemoryFloor, MemoryFloorStage, Outcome, Population, ProblemKind


def searched(needs_mib: int, low: int = 16, high: int = 80, launches: int = 2) -> Shell:
    def ending(order: Launch) -> Outcome:
        enough = (order.memory_bytes or 0) >= needs_mib * MEBIBYTE
        return Outcome.READY if enough else Outcome.FAILED

    return Shell(machine(low, high, launches), ending=ending).run()


def machine(low: int = 16, high: int = 80, launches: int = 2) -> MemoryFloorSearch:
    stage = MemoryFloorStage("vm", low * MEBIBYTE, high * MEBIBYTE, launches, 10)
    return MemoryFloorSearch("memory_floor/vm", stage)


def result(shell: Shell) -> MemoryFloor:
    (floor,) = shell.records
    assert isinstance(floor, MemoryFloor)
    return floor


def tried_mib(shell: Shell) -> list[int]:
    return [level.memory_bytes // MEBIBYTE for level in result(shell).levels]


def test_the_upper_bound_comes_first_then_the_lower_then_the_middle() -> None:
    shell = searched(needs_mib=42)
    assert tried_mib(shell) == [80, 16, 48, 32, 40, 44, 42, 41]
    assert result(shell).floor_bytes == 42 * MEBIBYTE
    assert not result(shell).bounded
    assert shell.finish.problem is None


def test_each_size_is_launched_one_after_the_other_with_that_memory() -> None:
    shell = searched(needs_mib=79, launches=3)
    first = shell.launches[:3]
    assert first[0] == Launch(
        "memory_floor/vm/000080/0", "vm", Population.PROBE, 0, memory_bytes=80 * MEBIBYTE
    )
    assert [order.memory_bytes for order in first] == [80 * MEBIBYTE] * 3
    assert shell.most_live == 1
    level = result(shell).levels[1]
    assert (level.launches, level.ready, level.error) == (1, 0, "made to end failed")


def test_a_size_that_fails_once_does_not_hold() -> None:
    def wavers(order: Launch) -> Outcome:
        tight = (order.memory_bytes or 0) < 40 * MEBIBYTE
        return Outcome.TIMED_OUT if tight and order.number == 1 else Outcome.READY

    shell = Shell(machine(launches=2), ending=wavers).run()
    assert result(shell).floor_bytes == 40 * MEBIBYTE
    assert result(shell).levels[1].ready == 1


def test_where_the_lower_bound_holds_the_floor_is_at_most_that() -> None:
    shell = searched(needs_mib=1)
    assert tried_mib(shell) == [80, 16]
    assert result(shell).floor_bytes == 16 * MEBIBYTE
    assert result(shell).bounded


def test_where_the_upper_bound_fails_there_is_no_floor_and_the_reason_is_told() -> None:
    shell = searched(needs_mib=81)
    assert tried_mib(shell) == [80]
    assert result(shell).floor_bytes is None
    assert shell.finish.problem is not None
    assert shell.finish.problem.kind is ProblemKind.LAUNCH_FAILED


@given(st.integers(1, 60), st.integers(1, 200), st.integers(1, 300), st.integers(1, 3))
def test_whatever_a_guest_needs_is_found_in_few_sizes(
    low: int, width: int, needs_mib: int, launches: int
) -> None:
    high = low + width
    shell = searched(needs_mib, low, high, launches)
    floor = result(shell).floor_bytes
    assert floor == (max(low, needs_mib) * MEBIBYTE if needs_mib <= high else None)
    assert len(result(shell).levels) <= 2 + ceil(log2(width))


@pytest.mark.parametrize("after", range(12))
def test_a_stop_at_any_moment_leaves_nothing_and_gives_no_floor(after: int) -> None:
    ready: Ending = lambda _: Outcome.READY  # noqa: E731
    shell = Shell(machine(launches=8), ending=ready, stop_after=after, stop=CANCELLED).run()
    assert result(shell).floor_bytes is None
    assert shell.finish.problem is not None
    assert "cut short" in shell.finish.problem.message
