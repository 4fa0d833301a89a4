"""C1 and C7: by what instances told of themselves and of each other."""

from __future__ import annotations

from typing import Any

import pytest

from collector.claims.inside import judge_kernels, judge_walls
from collector.reports.model import Subject
from collector.reports.rows import Inside, IsolationRow, Sight
from tests.unit.claims.lesson import CONTAINER, FULL, GVISOR, MICROVM, seen

HOST, GUEST = "6.18.0", "6.1.0-41"


def place(kernel: str) -> Inside:
    return Inside(
        kernel=kernel,
        boot_id=None,
        start_time_unix=None,
        hostname=None,
        os=None,
        processes=None,
        mounts=None,
        links=None,
        uid_map=None,
        namespaces={},
    )


def asked(whom: Subject, same: str = "host's", **given: Any) -> IsolationRow:
    facets = ("processes", "mounts", "hostname", "network")
    return IsolationRow(
        **{
            **whom.model_dump(),
            "instances": 2,
            "answered": 2,
            "kernel": same,
            "boot_id": same,
            "start_time": same,
            "sights": [Sight(facet=f, of="neighbour", seen=False, evidence="none") for f in facets],
            "host_sees": ["instance 1: 2 processes"],
            "host_sees_workload": 2,
            "outside": place(HOST),
            "inside": [place(HOST if same == "host's" else GUEST)] * 2,
            **given,
        }
    )


def test_containers_on_the_hosts_kernel_and_vms_on_their_own_support_it() -> None:
    claim = judge_kernels([seen(isolation=[asked(CONTAINER), asked(FULL, "own")])])
    assert claim.verdict == "supported"
    assert [row.n for row in claim.scope] == [2, 2]
    assert f"qemu-full on h1: kernel {GUEST} inside, {HOST} on the host, 2 instances." in (
        claim.evidence
    )


@pytest.mark.parametrize("row", [asked(CONTAINER, "mixed"), asked(FULL, "mixed"), asked(FULL)])
def test_one_instance_on_the_wrong_kernel_refutes_it(row: IsolationRow) -> None:
    assert judge_kernels([seen(isolation=[row])]).verdict == "refuted"


def test_a_vm_may_have_the_hosts_release_if_it_was_booted_by_itself() -> None:
    same_release = asked(FULL, "own", kernel="host's")
    assert judge_kernels([seen(isolation=[asked(CONTAINER), same_release])]).verdict == "supported"


def test_gvisor_answers_with_a_kernel_of_its_own_and_decides_nothing() -> None:
    rows = [asked(CONTAINER), asked(FULL, "own"), asked(GVISOR, "own", boot_id=None)]
    claim = judge_kernels([seen(isolation=rows)])
    assert (claim.verdict, claim.fails_for) == ("supported", ["sandboxed container"])
    assert any("gVisor answers system calls" in told for told in claim.evidence)


def test_what_was_not_told_is_inconclusive() -> None:
    untold = asked(CONTAINER, boot_id=None, answered=1, reason="one is gone")
    claim = judge_kernels([seen(isolation=[untold, asked(FULL, "own")])])
    assert claim.verdict == "inconclusive"
    assert "1 of 2 instances told their boot id" in claim.reason


def test_containers_that_see_nothing_of_each_other_support_it() -> None:
    claim = judge_walls([seen(isolation=[asked(CONTAINER), asked(MICROVM, "own")])])
    assert claim.verdict == "supported"
    assert [row.runtime for row in claim.scope] == ["docker"]


def test_one_sight_of_another_refutes_it() -> None:
    sight = Sight(facet="processes", of="neighbour", seen=True, evidence="instance 1 lists it.")
    claim = judge_walls([seen(isolation=[asked(CONTAINER, sights=[sight])])])
    assert claim.verdict == "refuted"
    assert "instance 1 lists it" in claim.reason


@pytest.mark.parametrize(
    "row",
    [
        asked(CONTAINER, sights=[]),
        asked(CONTAINER, answered=1),
        asked(CONTAINER, host_sees_workload=1),
        asked(
            CONTAINER,
            sights=[Sight(facet="network", of="neighbour", seen=None, evidence="not told")],
        ),
    ],
)
def test_what_cannot_be_told_is_inconclusive(row: IsolationRow) -> None:
    assert judge_walls([seen(isolation=[row])]).verdict == "inconclusive"
