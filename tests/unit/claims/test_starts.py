"""C6: a VM boots, a container is near-instant, and the one is not the other."""

from __future__ import annotations

import pytest

from collector.claims.starts import NEAR_INSTANT, OS_BOOT, RATIO, judge
from tests.unit.claims.lesson import (
    CONTAINER,
    FULL,
    GVISOR,
    MICROVM,
    RUNC,
    parts,
    seen,
    spread,
    started,
    subject,
)

BOOTS = tuple(started(FULL, spread(9000, 12), kernel_share=0.9))


def test_a_fast_container_and_a_vm_that_boots_support_it() -> None:
    claim = judge([seen(started(RUNC, spread(30, 300)), iter(BOOTS))])
    assert claim.verdict == "supported"
    assert parts(claim) == {
        ("runc", NEAR_INSTANT): "supported",
        ("qemu-full", OS_BOOT): "supported",
        ("qemu-full", RATIO): "supported",
    }


def test_an_engine_that_is_slow_refutes_it_and_the_floor_holds() -> None:
    trials = started(RUNC, spread(30, 300)), started(CONTAINER, spread(220, 300)), iter(BOOTS)
    claim = judge([seen(*trials)])
    assert claim.verdict == "refuted"
    assert "docker, near-instant: median" in claim.reason
    assert "It holds for qemu-full direct (TCG) and runc." in claim.reason
    ratio = next(row for row in claim.scope if row.aspect == RATIO)
    assert ratio.against == "docker"  # the one that says least for the claim
    assert ratio.estimate == pytest.approx(41, abs=1)


def test_too_few_starts_for_a_p99_leave_it_open() -> None:
    claim = judge([seen(started(RUNC, spread(30, 299)), iter(BOOTS))])
    assert claim.verdict == "inconclusive"
    assert "no p99 of 299 starts" in claim.reason


def test_a_slow_tail_refutes_a_fast_median() -> None:
    slow = [*spread(30, 294), *[1500.0] * 6]
    assert judge([seen(started(RUNC, slow), iter(BOOTS))]).verdict == "refuted"


def test_containers_that_never_became_ready_do_not_flatter_the_rest() -> None:
    for lost, verdict in ((3, "supported"), (4, "inconclusive")):
        failed = [
            t | {"trial": f"lost-{n}"}
            for n, t in enumerate(started(RUNC, [1.0] * lost, outcome="failed"))
        ]
        claim = judge([seen(started(RUNC, spread(30, 300)), iter(failed), iter(BOOTS))])
        assert parts(claim)["runc", NEAR_INSTANT] == verdict


def test_a_vm_that_hardly_boots_refutes_it() -> None:
    hardly = started(FULL, spread(9000, 12), kernel_share=0.2)
    claim = judge([seen(started(RUNC, spread(30, 300)), hardly)])
    assert claim.verdict == "refuted"
    assert "20 % of a start" in claim.reason


def test_a_few_starts_that_tell_of_their_boot_are_no_sample_of_all() -> None:
    told = list(started(FULL, spread(9000, 12), kernel_share=0.9))
    untold = [t | {"kernel_ns": None, "trial": f"u{n}"} for n, t in enumerate(told[:4])]
    claim = judge([seen(started(RUNC, spread(30, 300)), iter([*told, *untold]))])
    assert parts(claim)["qemu-full", OS_BOOT] == "inconclusive"
    assert "12 of 16 ready starts" in claim.reason


def test_a_ratio_that_reaches_one_refutes_it() -> None:
    alike = started(FULL, spread(30, 12), kernel_share=0.9)
    claim = judge([seen(started(RUNC, spread(30, 300)), alike)])
    assert parts(claim)["qemu-full", RATIO] == "refuted"


def test_vms_that_never_became_ready_do_not_flatter_the_rest() -> None:
    ready = started(FULL, spread(9000, 12), kernel_share=0.9)
    lost = started(subject("qemu-full", mode="cold"), [1.0] * 8, outcome="timed_out")
    claim = judge([seen(started(subject("runc", mode="cold"), spread(30, 300)), ready, lost)])
    assert parts(claim)["qemu-full cold", OS_BOOT] == "inconclusive"


def test_a_restored_vm_boots_nothing_which_blurs_and_decides_nothing() -> None:
    restored = started(subject("qemu-full", mode="restore"), spread(300, 20))
    claim = judge([seen(started(RUNC, spread(30, 300)), iter(BOOTS), restored)])
    assert claim.verdict == "supported"
    assert parts(claim)["qemu-full restore", OS_BOOT] == "refuted"
    assert parts(claim)["qemu-full restore", RATIO] == "supported"
    assert any("has a kernel and boots none" in told for told in claim.evidence)


def test_gvisor_is_judged_beside_the_full_vm() -> None:
    claim = judge([seen(started(GVISOR, spread(450, 20)), iter(BOOTS))])
    assert parts(claim)["docker-runsc", NEAR_INSTANT] == "refuted"
    assert parts(claim)["docker-runsc", RATIO] == "supported"
    assert claim.verdict == "inconclusive"
    assert "no evidence from a container" in claim.reason


def test_of_a_trial_that_was_made_again_only_the_last_attempt_counts() -> None:
    first = started(RUNC, [9999.0] * 300)
    again = started(RUNC, spread(30, 300), attempt=2)
    assert judge([seen(again, first, iter(BOOTS))]).verdict == "supported"


def test_warm_ups_and_crowded_levels_do_not_count() -> None:
    noise = started(RUNC, [9999.0] * 50, population="warmup", attempt=3)
    crowd = started(RUNC, [9999.0] * 50, concurrency=4, trial="crowd")
    trials = started(RUNC, spread(30, 300)), iter(BOOTS), noise, crowd
    assert judge([seen(*trials)]).verdict == "supported"


def test_the_run_with_the_most_starts_counts() -> None:
    few = seen(started(RUNC, [9999.0] * 8), iter(BOOTS))
    many = seen(started(RUNC, spread(30, 300)), iter(BOOTS))
    assert judge([few, many]).verdict == judge([many, few]).verdict == "supported"


def test_cold_starts_are_told_and_do_not_decide() -> None:
    cold = started(subject("runc", mode="cold"), spread(400, 10))
    boots = started(subject("qemu-full", mode="cold"), spread(9000, 12), kernel_share=0.9)
    claim = judge([seen(started(RUNC, spread(30, 300)), iter(BOOTS), cold, boots)])
    assert claim.verdict == "supported"
    assert parts(claim)["runc cold", NEAR_INSTANT] == "refuted"
    assert (claim.holds_for, claim.fails_for) == (["container", "full VM"], [])
    assert "runc cold, near-instant: refuted, which decides nothing: median" in claim.evidence[-1]


def test_cold_starts_are_told_beside_the_warm_ones_of_their_own_run() -> None:
    cold = list(started(subject("qemu-full", mode="cold"), spread(9000, 12), kernel_share=0.9))
    warm = started(FULL, spread(6000, 12), kernel_share=0.9)
    other_run = seen(started(RUNC, spread(30, 300)), started(FULL, spread(12000, 20)))
    claim = judge([other_run, seen(started(RUNC, spread(30, 10)), iter(cold), warm)])
    (told,) = (each for each in claim.evidence if "cold" in each)
    assert told.startswith("qemu-full, claims: cold 8.96 s, warm 5.97 s, 1.50×")
    assert told.endswith("by 12 and 12 starts of one run.")
    alone = judge([other_run, seen(started(RUNC, spread(30, 10)), iter(cold))])
    assert not any("cold" in each for each in alone.evidence)


def test_a_start_by_firmware_is_told_with_its_parts_and_not_judged() -> None:
    whole = started(subject("qemu-full", variant="firmware"), [20_000] * 3, kernel_share=0.5)
    claim = judge([seen(started(RUNC, spread(30, 300)), iter(BOOTS)), seen(whole)])
    assert claim.verdict == "supported"
    assert (
        "qemu-full by firmware, claims: 3 starts, median 20.0 s, of which firmware and boot "
        "loader take 8.00 s."
    ) in claim.evidence


def test_a_vm_that_was_only_started_cold_decides_nothing() -> None:
    cold = started(subject("runc", mode="cold"), spread(30, 300))
    boots = started(subject("qemu-full", mode="cold"), spread(9000, 12), kernel_share=0.9)
    small = started(MICROVM, spread(900, 12), kernel_share=0.9)
    claim = judge([seen(started(RUNC, spread(30, 300)), small, cold, boots)])
    assert claim.verdict == "inconclusive"
    assert "no evidence from a full VM" in claim.reason
    assert "full VM" not in claim.holds_for
