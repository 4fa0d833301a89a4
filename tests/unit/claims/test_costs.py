"""C5: by slopes and disk, a VM costs more than a container, or it does not."""

from __future__ import annotations

import pytest

from collector.claims.costs import judge
from tests.unit.claims.lesson import (
    CONTAINER,
    FULL,
    GVISOR,
    MB,
    MICROVM,
    cost,
    parts,
    seen,
    subject,
)


def test_lower_bounds_above_one_support_it_whatever_the_container() -> None:
    podman = subject("podman")
    rows = [
        cost(CONTAINER, "pss", 3 * MB),
        cost(podman, "pss", 5 * MB),
        cost(FULL, "pss", 160 * MB),
    ]
    claim = judge([seen(footprint=rows)])
    assert claim.verdict == "supported"
    (row,) = claim.scope
    assert (row.against, row.n) == ("podman", 24)
    assert row.estimate == pytest.approx(32)
    assert row.ci is not None
    assert row.ci[0] == pytest.approx(29.7, abs=0.2)


def test_a_vm_that_is_smaller_refutes_it() -> None:
    rows = [cost(CONTAINER, "disk_base", 9 * MB, 0), cost(FULL, "disk_base", 4 * MB, 0)]
    claim = judge([seen(footprint=rows)])
    assert claim.verdict == "refuted"
    assert "4.00 MB against 9.00 MB of docker" in claim.reason


def test_an_interval_that_holds_one_is_inconclusive() -> None:
    rows = [cost(CONTAINER, "pss", 3 * MB, 0.3), cost(FULL, "pss", 3.2 * MB, 0.3)]
    assert judge([seen(footprint=rows)]).verdict == "inconclusive"


def test_a_container_whose_cost_may_be_nothing_gives_no_upper_bound_but_a_verdict() -> None:
    rows = [cost(CONTAINER, "mem_available", 1 * MB, 1.5), cost(FULL, "mem_available", 160 * MB)]
    claim = judge([seen(footprint=rows)])
    assert claim.verdict == "supported"
    assert claim.scope[0].ci is not None
    assert claim.scope[0].ci[1] is None


def test_a_container_that_takes_no_disk_is_below_a_vm_that_does() -> None:
    rows = [cost(CONTAINER, "disk_marginal", 0, 0), cost(FULL, "disk_marginal", 2 * MB)]
    claim = judge([seen(footprint=rows)])
    assert (claim.verdict, claim.scope[0].estimate) == ("supported", None)


def test_a_figure_without_an_interval_says_why_it_does_not_count() -> None:
    rows = [cost(CONTAINER, "pss", 3 * MB), cost(FULL, "pss", None)]
    claim = judge([seen(footprint=rows)])
    assert claim.verdict == "inconclusive"
    assert "fewer than two counts were measured" in claim.reason


def test_what_a_microvm_does_not_take_is_told_and_decides_nothing() -> None:
    rows = [
        cost(CONTAINER, "disk_marginal", 28_672, 0),
        cost(MICROVM, "disk_marginal", 0, 0),
        cost(FULL, "disk_marginal", 2 * MB, 0),
    ]
    claim = judge([seen(footprint=rows)])
    assert claim.verdict == "supported"
    assert claim.fails_for == ["microVM"]
    assert any("blurs at the microVM" in told for told in claim.evidence)


def test_a_sandboxed_container_meets_the_full_vm() -> None:
    rows = [
        cost(GVISOR, "pss", 30 * MB),
        cost(CONTAINER, "pss", 3 * MB),
        cost(FULL, "pss", 160 * MB),
    ]
    claim = judge([seen(footprint=rows)])
    assert parts(claim) == {
        ("qemu-full", "memory by PSS"): "supported",
        ("docker-runsc", "memory by PSS"): "supported",
    }


def test_other_workloads_hosts_and_runs_are_not_compared() -> None:
    elsewhere = subject("qemu-full", host="h2")
    other = subject("qemu-full", workload="http")
    rows = [cost(CONTAINER, "pss", MB), cost(elsewhere, "pss", 9 * MB), cost(other, "pss", 9 * MB)]
    claim = judge([seen(footprint=rows), seen(footprint=[cost(FULL, "pss", 9 * MB)])])
    assert (claim.verdict, claim.scope) == ("inconclusive", [])
    assert "no evidence" in claim.reason


def test_what_a_vm_takes_for_want_of_acceleration_is_told_apart() -> None:
    rows = [
        cost(CONTAINER, "pss", 4 * MB),
        cost(FULL, "pss", 560 * MB),
        cost(FULL, "vmm_overhead", 400 * MB),
        cost(MICROVM, "pss", 160 * MB),
    ]
    (told,) = judge([seen(footprint=rows)]).evidence
    assert told == (
        "qemu-full direct (TCG) on h1, 128 MiB: of 560 MB by PSS 400 MB are the VMM's own, where"
        " TCG keeps the instructions that it has translated; the guest's 160 MB alone are 40.0×"
        " of docker's, the heaviest container's here."
    )
    accelerated = [row.model_copy(update={"accelerator": "kvm"}) for row in rows[1:3]]
    assert judge([seen(footprint=[rows[0], *accelerated])]).evidence == []
