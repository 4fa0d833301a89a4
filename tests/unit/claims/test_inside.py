"""C1 and C7: by what instances told of themselves and of each other."""

from __future__ import annotations

from typing import Any

import pytest

from collector.claims.inside import judge_kernels, judge_walls
from collector.reports.model import Subject
from collector.reports.rows import Inside, IsolationRow, Sight
from tests.unit.claims.lesson import CONTAINER, FULL, GVISOR, MICROVM, RUNC, seen, subject

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
    told = f"kernel {GUEST} inside, {HOST} on the host, 2 instances."
    assert f"qemu-full direct (TCG) with idle on h1: {told}" in claim.evidence


def booted(boot_id: str, start_time_unix: int, kernel: str = GUEST) -> Inside:
    told = {"boot_id": boot_id, "start_time_unix": start_time_unix}
    return place(kernel).model_copy(update=told)


HERE = booted("15925470-5d0a", 1_795_870_704, HOST)
FIRST, SECOND = booted("9217abc7-41ed", 1_795_891_907), booted("d621fdc0-93aa", 1_795_891_909)


def test_boot_ids_and_boot_times_are_told_beside_the_hosts() -> None:
    rows = [
        asked(CONTAINER, outside=HERE, inside=[HERE, HERE]),
        asked(FULL, "own", outside=HERE, inside=[FIRST, SECOND]),
    ]
    evidence = judge_kernels([seen(isolation=rows)]).evidence
    here = "2026-11-28 12:58:24 on the host."
    assert (
        "docker with idle on h1: boot id 15925470 inside, 15925470 on the host; "
        f"booted 2026-11-28 12:58:24 inside, {here}"
    ) in evidence
    assert (
        "qemu-full direct (TCG) with idle on h1: boot id 9217abc7, d621fdc0 inside, "
        "15925470 on the host; "
        f"booted 2026-11-28 18:51:47, 2026-11-28 18:51:49 inside, {here}"
    ) in evidence


def test_two_vms_on_one_boot_refute_it() -> None:
    row = asked(FULL, "own", outside=HERE, inside=[FIRST, FIRST])
    claim = judge_kernels([seen(isolation=[asked(CONTAINER), row])])
    assert claim.verdict == "refuted"
    assert "another instance's" in claim.reason


def test_a_vm_with_the_hosts_boot_time_refutes_it() -> None:
    row = asked(FULL, "own", start_time="host's")
    assert judge_kernels([seen(isolation=[asked(CONTAINER), row])]).verdict == "refuted"


@pytest.mark.parametrize(
    "rows",
    [
        [asked(CONTAINER, start_time=None), asked(FULL, "own")],
        [asked(CONTAINER), asked(FULL, "own", start_time=None)],
        [asked(CONTAINER), asked(FULL, "own", outside=FIRST, inside=[HERE, SECOND])],
    ],
)
def test_a_boot_time_that_is_missing_or_before_the_hosts_leaves_it_open(
    rows: list[IsolationRow],
) -> None:
    assert judge_kernels([seen(isolation=rows)]).verdict == "inconclusive"


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


def test_what_was_not_looked_at_is_told_once() -> None:
    bridged = subject("docker", network="bridge")
    none, bridge = (
        judge_walls([seen(isolation=rows)]).evidence
        for rows in ([asked(CONTAINER), asked(RUNC)], [asked(bridged)])
    )
    assert sum("not for their mounts" in told for told in none) == 1
    assert sum("says little of containers on a bridge" in told for told in none) == 1
    assert not any("says little" in told for told in bridge)
    both = judge_walls([seen(isolation=[asked(RUNC), asked(bridged)])]).evidence
    assert both[2] == "Containers of docker were asked on one bridge."
    assert both[3].startswith("Those of runc had network none")


def test_a_bridge_on_which_no_instance_came_up_costs_no_verdict() -> None:
    silent = asked(subject("docker", network="bridge"), answered=0, sights=[], inside=[])
    rows = [asked(CONTAINER), asked(FULL, "own"), silent]
    assert judge_walls([seen(isolation=rows)]).verdict == "supported"
    assert judge_kernels([seen(isolation=rows)]).verdict == "supported"


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
