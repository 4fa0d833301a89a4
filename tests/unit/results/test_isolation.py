"""What is judged from what instances told: seen, not seen, not told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from collector.model import HostFact, HostRun, RunData
from collector.reports.rows import IsolationRow
from collector.results.isolation import isolation_rows
from collector.results.subjects import Subjects
from tests.runs_made_up import host_run, run
from tonnage.model import HostProcess, Inside, InsideAnswer, IsolationStage, Stage

HOST = {
    "kernel": "6.1",
    "boot_id": "host-boot",
    "start_time_unix": "100",
    "hostname": "h1",
    "namespaces": {kind: f"{kind}:[1]" for kind in ("mnt", "net", "pid", "uts")},
    "process_count": 80,
}


def container(number: int, **changes: Any) -> dict[str, Any]:
    """One on the host's kernel, in namespaces of its own."""
    return {
        "kernel": "6.1",
        "boot_id": "host-boot",
        "start_time_unix": "101",
        "hostname": f"c{number}",
        "namespaces": {kind: f"{kind}:[{10 + number}]" for kind in ("mnt", "net", "pid", "uts")},
        "files": [f"mark-{number}"],
        "mounts": ["overlay / overlay rw 0 0"],
        "links": ["1: lo: <UP>", "2: eth0: <UP>"],
        "processes": [f"/bin/sh /bin/tonnage-idle mark-{number}"],
        "process_count": 1,
        **changes,
    }


def machine(number: int, **changes: Any) -> dict[str, Any]:
    """One on a kernel of its own, which numbers its namespaces as the host's does."""
    own = {"kernel": "6.9", "boot_id": f"vm-{number}", "start_time_unix": "500"}
    names = {"hostname": "guest", "namespaces": HOST["namespaces"]}
    return container(number, **{**own, **names, **changes})


def judged(*told: dict[str, Any], error: str = "", pids: tuple[int, ...] = (4,)) -> IsolationRow:
    answers = tuple(
        InsideAnswer(
            f"t{number}",
            f"mark-{number}",
            json.dumps(facts) if facts else "",
            "" if facts else error,
            (HostProcess(4, "/usr/bin/program of it"),),
            pids,
        )
        for number, facts in enumerate(told, 1)
    )
    return row_of(Inside("i", json.dumps(HOST), answers))


def row_of(inside: Inside | None) -> IsolationRow:
    stage = Stage("i", IsolationStage("fake", 2, 5.0, 10))
    found: HostRun = host_run()
    host = replace(found, plan=replace(found.plan, stages=(stage,)))
    facts = (HostFact("h1", 1, 1, inside),) if inside else ()
    data = RunData(run(), (host,), (), facts)
    (row,) = isolation_rows(data, Subjects(data))
    return row


def seen(row: IsolationRow, of: str = "neighbour") -> dict[str, bool | None]:
    return {one.facet: one.seen for one in row.sights if one.of == of}


ALL_HIDDEN = {"processes": False, "mounts": False, "hostname": False, "network": False}


def test_containers_share_the_kernel_and_see_nothing_of_each_other() -> None:
    row = judged(container(1), container(2))
    assert (row.kernel, row.boot_id, row.start_time) == ("host's", "host's", "host's")
    assert seen(row) == seen(row, "host") == ALL_HIDDEN
    assert (row.answered, row.instances, row.reason) == (2, 2, None)
    assert row.host_sees_workload == 2
    assert "its workload is process 4" in row.host_sees[0]


def test_machines_have_kernels_of_their_own_whatever_they_call_things() -> None:
    row = judged(machine(1), machine(2), pids=())
    assert (row.kernel, row.boot_id, row.start_time) == ("own", "own", "own")
    assert seen(row) == seen(row, "host") == ALL_HIDDEN
    assert row.host_sees_workload == 0
    assert "none of the host's processes" in row.host_sees[1]


def test_a_kernel_of_the_same_release_is_told_apart_by_its_boot() -> None:
    row = judged(machine(1, kernel="6.1"), machine(2, kernel="6.1"))
    assert (row.kernel, row.boot_id) == ("host's", "own")


@pytest.mark.parametrize(
    ("facet", "leak"),
    [
        ("processes", {"processes": ["sh mark-1", "sh mark-2"]}),
        ("mounts", {"files": ["mark-1", "mark-2"]}),
        ("hostname", {"hostname": "c2", "namespaces": container(2)["namespaces"]}),
        ("network", {"namespaces": {**container(1)["namespaces"], "net": "net:[12]"}}),
    ],
)
def test_one_that_sees_something_of_the_other_is_found_out(
    facet: str, leak: dict[str, Any]
) -> None:
    row = judged(container(1, **leak), container(2))
    assert seen(row)[facet] is True
    (sight,) = [one for one in row.sights if (one.facet, one.of) == (facet, "neighbour")]
    assert "instance 1" in sight.evidence
    assert "instance 2" in sight.evidence


def test_a_container_in_the_hosts_own_namespaces_is_found_out() -> None:
    row = judged(container(1, namespaces=HOST["namespaces"], hostname="h1"), container(2))
    assert seen(row, "host") == dict.fromkeys(ALL_HIDDEN, True)


@pytest.mark.parametrize(
    ("facet", "missing"),
    [
        ("processes", {"processes": []}),
        ("mounts", {"files": []}),
        ("hostname", {"hostname": ""}),
        ("network", {"namespaces": {}}),
    ],
)
def test_what_was_not_told_is_neither_seen_nor_hidden(facet: str, missing: dict[str, Any]) -> None:
    assert seen(judged(container(1, **missing), container(2)))[facet] is None


def test_namespaces_without_a_boot_id_prove_nothing_shared() -> None:
    same = {"net": "net:[1]"}
    row = judged(*(container(n, boot_id="", namespaces=same) for n in (1, 2)))
    assert seen(row)["network"] is None
    assert row.boot_id is None


def test_one_that_does_not_answer_leaves_nothing_to_judge_its_neighbour_by() -> None:
    row = judged(container(1), {}, error="no answer within 5 s")
    assert (row.answered, seen(row)) == (1, {})
    assert row.reason is not None
    assert "no answer within 5 s" in row.reason
    assert row.inside[1].error == "no answer within 5 s"


def test_instances_that_were_never_asked_have_a_row_without_figures() -> None:
    row = row_of(None)
    assert (row.kernel, row.sights, row.host_sees_workload) == (None, [], None)
    assert row.reason == "the instances were not asked"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kernel": 5, "namespaces": [1]}'])
def test_nonsense_is_not_told_rather_than_believed(text: str) -> None:
    answers = tuple(InsideAnswer(f"t{n}", f"mark-{n}", text) for n in (1, 2))
    row = row_of(Inside("i", "nonsense", answers))
    assert row.kernel is None
    assert not any(one.seen for one in row.sights)
