"""What is shown of a run over many hosts, and of one in line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from collector.cli.news import News
from collector.cli.overview import counts, in_line, noteworthy, share
from collector.cli.progress import Documents, Lines
from collector.views import HostProgress, Progress
from tests.unit.cli.test_progress import HOST, Clock
from tonnage.model import RunState


def fleet(hosts: int, **changes: object) -> list[HostProgress]:
    return [replace(HOST, host=f"h{n:04}", **changes) for n in range(hosts)]  # type: ignore[arg-type]  # fields of HostProgress


def of(hosts: list[HostProgress], state: RunState = RunState.RUNNING) -> Progress:
    return Progress("r1", state, tuple(hosts))


def test_many_hosts_are_counted_by_state() -> None:
    hosts = fleet(3) + fleet(1, state=RunState.PENDING, ready=0)
    hosts += fleet(2, state=RunState.FAILED, ready=0, failed=5)
    told = counts(of(hosts))
    assert told == ("6 hosts: 1 getting ready, 3 running, 2 failed; 12 trials ready, 10 failed")


def test_those_that_fail_and_those_that_are_slow_are_picked_out() -> None:
    hosts = fleet(50, trials_done=70)
    hosts[7] = replace(hosts[7], trials_done=1)
    hosts[30] = replace(hosts[30], failed=9)
    hosts[31] = replace(hosts[31], state=RunState.PARTIAL)
    chosen = [host.host for host in noteworthy(of(hosts))]
    assert chosen[:3] == ["h0030", "h0031", "h0007"]
    assert len(chosen) <= 8


def test_the_share_of_a_host_counts_its_stages() -> None:
    assert share(replace(HOST, stages_done=1, trials_done=38)) == 0.5
    assert share(replace(HOST, state=RunState.PARTIAL)) == 1.0
    assert share(replace(HOST, stages_total=0)) == 0.0


@pytest.mark.parametrize("hosts", [50, 1000])
def test_a_run_over_many_hosts_takes_few_lines(
    hosts: int, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    lines = Lines(clock)
    for done in range(20):
        lines.show(of(fleet(hosts, trials_done=done, message="KSM is off.")))
        clock.now += 1.0
    lines.show(of(fleet(hosts, state=RunState.FINISHED), RunState.FINISHED))
    told = capsys.readouterr().err.splitlines()
    assert len(told) < 30
    assert sum("KSM is off." in line for line in told) == 1
    assert told[-1].endswith(f"{hosts} hosts: {hosts} finished; {4 * hosts} trials ready")


def test_as_json_every_host_is_listed_and_nothing_is_told_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    documents = Documents()
    for progress in (of(fleet(1000)), of(fleet(1000)), of(fleet(999))):
        documents.show(progress)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(each["hosts"]) for each in told] == [1000, 999]
    assert told[0]["hosts"][0]["host"] == "h0000"
    assert told[0]["state"] == "running"


def test_a_run_in_line_says_whom_it_waits_for_until_its_turn_comes() -> None:
    news = News()
    waiting = Progress("r3", RunState.PENDING, (), queue_position=1, behind=("20261124-abc",))
    assert news.of(waiting) == ["waits its turn behind 20261124-abc"]
    assert news.of(waiting) == []
    assert news.of(replace(waiting, queue_position=0, behind=())) == ["its turn has come"]


def test_a_run_in_line_says_nothing_of_hosts_that_have_not_begun(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    lines = Lines(clock)
    pending = replace(HOST, state=RunState.PENDING)
    waiting = Progress("r3", RunState.PENDING, (pending,), queue_position=1, behind=("r1",))
    for _ in range(3):
        lines.show(waiting)
        clock.now += 10.0
    lines.show(Progress("r3", RunState.RUNNING, (HOST,)))
    assert capsys.readouterr().err.splitlines() == [
        "   0 s  waits its turn behind r1",
        "  30 s  its turn has come",
        "  30 s  h1 [1/3] startup, 4/76 trials",
    ]


def test_a_run_is_in_line_only_while_no_host_of_it_is_at_work() -> None:
    waiting = Progress("r3", RunState.PENDING, (HOST,), queue_position=1, behind=("r1",))
    assert in_line(replace(waiting, hosts=(replace(HOST, state=RunState.PENDING),)))
    assert not in_line(waiting)  # taken up again on one host while another goes on


def test_the_skew_of_the_start_is_told_once() -> None:
    news = News()
    begun = Progress("r1", RunState.RUNNING, (), start_skew_seconds=0.0416)
    assert news.of(begun) == ["its hosts began within 0.042 s of each other"]
    assert news.of(begun) == []
