"""C4: ramps under hard limits, with guests of two sizes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from collector.claims.bounds import MEMORY_BOUND, SCALES, judge
from collector.claims.model import ScopeRow
from collector.reports.model import DensityRow
from collector.reports.rows import DensityStep, MemoryFloorRow
from tests.unit.claims.lesson import FULL, MIB, parts, seen

GIB = 1024 * MIB
FOUND = {(256, 1): 7, (256, 2): 14, (512, 1): 5, (512, 2): 10}


def ramps(
    found: Mapping[tuple[int, int], int | None] = FOUND, reason: str = "memory_limit"
) -> list[DensityRow]:
    """One ramp for each size in MiB and limit in GiB."""
    return [
        DensityRow(
            **{**FULL.model_dump(), "memory_bytes": size * MIB},
            instances=instances,
            stop_reason=reason,
            binding_constraint="killed for want of memory",
            memory_limit_bytes=limit * GIB,
            forecast_instances=3.4,
            forecast_ci=(3.0, 4.0),
            forecast_at_instances=2,
            forecast_error=None,
            steps=[],
        )
        for (size, limit), instances in found.items()
    ]


def step(instances: int) -> DensityStep:
    return DensityStep(
        instances=instances,
        mem_available_bytes=None,
        pss_bytes=None,
        cgroup_bytes=None,
        cpu_some_avg10=None,
        memory_some_avg10=None,
        io_some_avg10=None,
        probe_p50_seconds=None,
        alive=instances,
        answering=instances,
        met_slo=True,
    )


def test_n_that_grows_as_memory_does_supports_it() -> None:
    claim = judge([seen(density=ramps())])
    assert claim.verdict == "supported"
    assert "qemu-full, 256 MiB under 1 GiB: 3.4 foreseen at 2, 7 found." in claim.evidence


def test_a_ramp_without_a_forecast_says_so_and_at_how_many_it_ended() -> None:
    steps = [step(instances) for instances in (0, 1, 2)]
    unforeseen = {"forecast_instances": None, "forecast_at_instances": None, "steps": steps}
    rows = [row.model_copy(update=unforeseen) for row in ramps()]
    told = "no forecast: it ended at 2 instances, before one was made, 5 found."
    assert f"qemu-full, 512 MiB under 1 GiB: {told}" in judge([seen(density=rows)]).evidence


def test_what_ended_each_ramp_is_told_in_its_own_words() -> None:
    evidence = judge([seen(density=ramps())]).evidence
    ended = [told for told in evidence if told.endswith(": killed for want of memory.")]
    assert len(ended) == len(FOUND)
    assert ended[0].startswith("qemu-full, 256 MiB under 1 GiB, what ended it")


def test_the_limits_may_be_of_two_runs() -> None:
    one, two = ramps()[::2], ramps()[1::2]
    assert judge([seen(density=one), seen(density=two)]).verdict == "supported"


def test_n_that_does_not_grow_refutes_it() -> None:
    claim = judge([seen(density=ramps({**FOUND, (256, 1): 10, (256, 2): 11}))])
    assert claim.verdict == "refuted"
    assert "10 under 1 GiB, 11 under 2 GiB" in claim.reason


def scaled(few: int, many: int) -> ScopeRow:
    """The row of the guest of 256 MiB."""
    claim = judge([seen(density=ramps({**FOUND, (256, 1): few, (256, 2): many}))])
    return next(row for row in claim.scope if row.aspect == f"{SCALES}, 256 MiB")


@pytest.mark.parametrize(("few", "many"), [(1, 3), (1, 2), (2, 4), (3, 6), (3, 7)])
def test_too_few_instances_to_tell_neither_support_nor_refute_it(few: int, many: int) -> None:
    row = scaled(few, many)
    assert row.verdict == "inconclusive"
    assert "too few instances to tell" in row.reason


def test_a_small_n_can_still_refute_it() -> None:
    assert scaled(1, 1).verdict == "inconclusive"  # 1.9 may fit, and 1.0
    assert scaled(3, 3).verdict == "refuted"
    assert scaled(1, 9).verdict == "refuted"


def test_the_whole_range_must_lie_in_the_band() -> None:
    assert [scaled(7, many).verdict for many in (13, 16)] == ["supported", "inconclusive"]
    assert "neither wholly in the band nor wholly outside" in scaled(7, 16).reason
    assert scaled(7, 13).ci == (13 / 8, 14 / 7)


def test_another_end_than_memory_refutes_it() -> None:
    claim = judge([seen(density=ramps(reason="slo_ready"))])
    assert parts(claim)["qemu-full", MEMORY_BOUND] == "refuted"
    assert "slo ready" in claim.reason


def test_a_larger_guest_that_takes_no_more_is_told_and_decides_nothing() -> None:
    claim = judge([seen(density=ramps({**FOUND, (512, 1): 7, (512, 2): 14}))])
    assert claim.verdict == "supported"
    told = "qemu-full: 7 of 256 MiB and 7 of 512 MiB under 1 GiB: an idle guest does not touch"
    assert any(each.startswith(told) for each in claim.evidence)


def test_one_size_or_one_limit_is_inconclusive() -> None:
    for left in ({(256, 1): 7, (256, 2): 14}, {(256, 1): 7, (512, 1): 5}):
        assert judge([seen(density=ramps(left))]).verdict == "inconclusive"


def test_a_ramp_that_did_not_end_is_inconclusive() -> None:
    unended = ramps({**FOUND, (512, 2): None}, reason="cancelled")[3:]
    assert judge([seen(density=[*ramps()[:3], *unended])]).verdict == "inconclusive"


def test_a_ramp_that_ended_is_not_forgotten_for_one_that_was_cut_short() -> None:
    cut = ramps({(512, 2): 1}, reason="cancelled")
    for runs in ((ramps(), cut), (cut, ramps())):
        assert judge([seen(density=rows) for rows in runs]).verdict == "supported"


@pytest.mark.parametrize("reason", ["cancelled", "time_limit", "max_instances", "memory_headroom"])
def test_a_ramp_that_we_ended_ourselves_is_inconclusive(reason: str) -> None:
    cut = ramps({**FOUND, (512, 2): 1}, reason=reason)[3:]
    claim = judge([seen(density=[*ramps()[:3], *cut])])
    assert claim.verdict == "inconclusive"
    assert parts(claim)["qemu-full", MEMORY_BOUND] == "inconclusive"
    assert f"{SCALES}, 512 MiB" not in {row.aspect for row in claim.scope}


def test_a_guest_too_small_to_boot_is_inconclusive() -> None:
    none = ramps({(64, 1): 0, (64, 2): 0}, reason="launch_failed")
    claim = judge([seen(density=[*ramps()[:2], *none])])
    assert claim.verdict == "inconclusive"
    assert "2 of 4 ramps ended otherwise: launch failed" in claim.reason


def test_a_budget_of_our_own_is_no_evidence() -> None:
    rows = [row.model_copy(update={"memory_limit_bytes": None}) for row in ramps()]
    assert (judge([seen(density=rows)]).verdict, judge([seen(density=rows)]).scope) == (
        "inconclusive",
        [],
    )


def floor(floor_mib: int | None) -> MemoryFloorRow:
    """A search for the least memory of the full VM."""
    return MemoryFloorRow(
        **FULL.model_dump(),
        floor_bytes=floor_mib * MIB if floor_mib else None,
        failed_bytes=(floor_mib - 1) * MIB if floor_mib else None,
        bounded=False,
        launches=3,
        tried=[],
        reason=None if floor_mib else "the search was cut short",
    )


def test_the_smallest_memory_that_a_vm_boots_in_is_told() -> None:
    told = "qemu-full boots in 116 MiB and not in 115 MiB, by 3 launches at each size."
    assert told in judge([seen(memory_floor=[floor(116)])]).evidence


@pytest.mark.parametrize(
    ("searched", "told"),
    [
        ([floor(254)], "2 MiB above the least that it boots in."),
        ([floor(116)], "140 MiB above the least that it boots in: the smallest that boots is not"),
        ([floor(None)], "the least that it boots in was not found"),
        ([], "the least that it boots in was not searched for"),
    ],
)
def test_how_far_the_smallest_guest_is_from_the_least_is_told(
    searched: list[MemoryFloorRow], told: str
) -> None:
    evidence = judge([seen(density=ramps(), memory_floor=searched)]).evidence
    (smallest,) = (text for text in evidence if "smallest guest of the ramps has 256 MiB" in text)
    assert told in smallest


def test_a_search_that_found_nothing_says_why() -> None:
    evidence = judge([seen(memory_floor=[floor(None)])]).evidence
    assert any("the search was cut short" in told for told in evidence)
