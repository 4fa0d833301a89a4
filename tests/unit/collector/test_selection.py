"""Which hosts take part, and which do not and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collector.errors import InvalidInput
from collector.selection import Selected, matching, select
from collector.spec import HostSelection
from collector.views import HostInfo
from tests.runs_made_up import facts, fingerprint
from tonnage.model import RuntimeState


def _host(name: str, state: str = "healthy", rack: str = "a", cpus: int = 4) -> HostInfo:
    found = replace(facts(name), labels={"rack": rack}, cpus=cpus)
    return HostInfo(found, (fingerprint(),), f"{name}:1", "", state, 0)


_HOSTS = (
    _host("c", rack="b"),
    _host("a", cpus=8),
    _host("b"),
    _host("d", "draining"),
    _host("s", "suspect", rack="b"),
    _host("l", "lost", rack="b"),
)


def _names(selected: Selected) -> list[str]:
    return [host.facts.host for host in selected.hosts]


def _problem(**wanted: object) -> InvalidInput:
    found = select(HostSelection.model_validate(wanted), _HOSTS).problem
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["a", "b", "c"]),
        ({"names": ["c", "a", "c"]}, ["a", "c"]),
        ({"labels": {"rack": "a"}}, ["a", "b"]),
        ({"where": "cpus >= 8 or labels.rack == 'b'"}, ["a", "c"]),
        ({"names": ["a", "c"], "labels": {"rack": "a"}, "where": "cpus == 8"}, ["a"]),
        ({"labels": {"rack": "a"}, "expect": 2}, ["a", "b"]),
        ({"names": ["a", "d", "zz"], "expect": 1}, ["a"]),
    ],
)
def test_hosts_that_meet_every_condition_take_part(
    wanted: dict[str, object], names: list[str]
) -> None:
    selected = select(HostSelection.model_validate(wanted), _HOSTS)
    assert selected.problem is None
    assert _names(selected) == names


def test_hosts_that_cannot_take_part_are_named_with_why() -> None:
    wanted = HostSelection.model_validate({"expect": 4})
    selected = select(wanted, _HOSTS)
    assert [name for name, _ in selected.unfit] == ["d", "l", "s"]
    assert selected.waiting_helps
    assert selected.problem is not None
    told = selected.problem.problem
    assert (told.field, told.value) == ("hosts.expect", "4")
    assert told.message.startswith("3 of 4 hosts can take part: a, b, c; d is draining; l is lost")
    assert "s is suspect" in told.message
    assert "--undo" in told.remedy


def test_more_hosts_than_expected_are_refused_at_once() -> None:
    selected = select(HostSelection.model_validate({"expect": 2}), _HOSTS)
    assert selected.problem is not None
    assert "3 hosts are selected: a, b, c" in selected.problem.problem.message
    assert not selected.waiting_helps


@pytest.mark.parametrize(
    ("name", "why"),
    [("d", "is draining"), ("s", "is suspect"), ("l", "is lost"), ("zz", "has not registered")],
)
def test_a_named_host_that_cannot_take_part_is_told(name: str, why: str) -> None:
    told = _problem(names=["a", name]).problem
    assert (told.field, told.value) == ("hosts", name)
    assert told.message.startswith(f"host {name} {why}")


def test_conditions_that_no_healthy_host_meets_are_told_with_those_that_would() -> None:
    told = _problem(labels={"rack": "b"}, where="state != 'healthy'").problem
    assert told.message.startswith("no healthy host is selected; l is lost")
    assert "tonnage hosts" in told.remedy


def test_conditions_that_no_host_meets_at_all_are_told_as_that() -> None:
    told = _problem(labels={"rack": "nowhere"}).problem
    assert told.message == f"no host meets the conditions, of {len(_HOSTS)} that have registered"
    assert "labels" in told.remedy


def test_an_expression_that_fails_names_the_host() -> None:
    with pytest.raises(InvalidInput, match="on host a") as refused:
        select(HostSelection.model_validate({"where": "labels.rack > 3"}), _HOSTS)
    assert refused.value.problem.field == "hosts.where"
    assert refused.value.problem.value == "labels.rack > 3"


@pytest.mark.parametrize("wanted", [{}, {"names": ["h1"]}, {"expect": 3}])
def test_where_no_host_is_known_a_restart_of_the_collector_is_thought_of(
    wanted: dict[str, object],
) -> None:
    selected = select(HostSelection.model_validate(wanted), ())
    assert selected.waiting_helps
    assert selected.problem is not None
    assert selected.problem.problem.message == "no healthy host is registered"
    assert "registers again within 15 s" in selected.problem.problem.remedy


def test_only_healthy_runtimes_count() -> None:
    broken = replace(fingerprint("docker"), state=RuntimeState.UNHEALTHY)
    host = replace(_host("x"), runtimes=(fingerprint("fake"), broken))
    for where, names in (("'fake' in runtimes", ["x"]), ("'docker' in runtimes", [])):
        wanted = HostSelection.model_validate({"where": where})
        assert [h.facts.host for h in matching(wanted, [host])] == names
