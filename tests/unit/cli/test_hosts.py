"""The list of hosts, its filters, and waiting for hosts that an experiment needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from collector.cli import hostlist, submitting
from collector.cli import hosts as commands
from collector.cli.hostlist import Filters
from collector.cli.interrupts import Interrupts, Left
from collector.client import Client
from collector.endpoint import Endpoint
from collector.errors import InvalidInput
from collector.spec import Spec, parse
from collector.views import HostInfo
from tests.runs_made_up import facts, fingerprint
from tests.unit.cli.collectors import Scripted, served, state
from tonnage import wire
from tonnage.model import RunState, RuntimeState
from tonnage.v1 import collector_pb2 as pb


def _host(name: str, state: str = "healthy", rack: str = "a", **changes: Any) -> HostInfo:
    found = replace(facts(name), labels={"rack": rack}, **changes)
    broken = replace(fingerprint("docker"), state=RuntimeState.UNHEALTHY)
    return HostInfo(found, (fingerprint(), broken), f"{name}:1", f"{name}:2", state, 0, protocol=2)


_HOSTS = (_host("h1", cpus=8), _host("h2", "suspect", "b"), _host("h3", "draining"))


def _shown(
    states: Sequence[str] = (),
    labels: Sequence[str] = (),
    runtimes: Sequence[str] = (),
    where: str = "",
) -> list[str]:
    found = Filters.read(states, labels, runtimes, where).apply(_HOSTS)
    return [host.facts.host for host in found]


def test_every_filter_must_hold() -> None:
    assert _shown() == ["h1", "h2", "h3"]
    assert _shown(states=["suspect", "draining"]) == ["h2", "h3"]
    assert _shown(labels=["rack=a"]) == ["h1", "h3"]
    assert _shown(labels=["rack=a", "rack=b"]) == []
    assert _shown(runtimes=["fake"]) == ["h1", "h2", "h3"]
    assert _shown(runtimes=["docker"]) == []
    assert _shown(where="cpus > 4 or state == 'suspect'") == ["h1", "h2"]
    assert _shown(["healthy"], ["rack=a"], ["fake"], "cpus == 8") == ["h1"]


@pytest.mark.parametrize(
    ("labels", "where", "field", "said"),
    [
        (["rack"], "", "--label", "NAME=VALUE"),
        (["=a"], "", "--label", "NAME=VALUE"),
        ([], "cpu > 4", "--where", "no such name: cpu"),
        ([], "labels.rack > 4", "--where", "on host h1"),
    ],
)
def test_a_filter_that_cannot_be_read_is_told(
    labels: list[str], where: str, field: str, said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        _shown(labels=labels, where=where)
    assert refused.value.problem.field == field
    assert said in refused.value.problem.message
    assert refused.value.problem.remedy


def test_a_row_marks_another_version_and_a_drained_host_that_is_silent() -> None:
    lost = replace(_host("h9", "lost"), draining=True)
    plain = dict(
        zip(hostlist.columns(wide=False), hostlist.row(lost, "0.1.0", wide=False), strict=True)
    )
    assert (plain["STATE"], plain["AGENT"]) == ("lost, draining", "0.1.0")
    assert (plain["LABELS"], plain["ADDRESS"]) == ("rack=a", "h9:1")
    wide = dict(
        zip(hostlist.columns(wide=True), hostlist.row(lost, "0.2.0", wide=True), strict=True)
    )
    assert (wide["AGENT"], wide["PROTOCOL"], wide["METRICS"]) == ("0.1.0*", 2, "h9:2")
    assert wide["KERNEL"] == "6.1.0"


class _Fleet(Scripted):
    """Its host works on a run when it is drained, and on none afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.drained: list[tuple[str, bool]] = []
        self.forgotten: list[str] = []

    async def DrainHost(self, request: Any, context: Any) -> Any:
        self.drained.append((request.host, request.undo))
        return pb.DrainHostResponse(active_run_id="r1" if len(self.drained) == 1 else "")

    async def ForgetHost(self, request: Any, context: Any) -> Any:
        self.forgotten.append(request.host)
        return pb.ForgetHostResponse()


async def test_draining_waits_until_the_run_has_left_the_host(
    capsys: pytest.CaptureFixture[str],
) -> None:
    collector = _Fleet()
    for value in (RunState.RUNNING, RunState.PARTIAL):
        on_host = pb.HostProgress(host="h1", state=state(value))
        collector.progress.append(
            pb.WatchRunResponse(run_id="r1", state=state(RunState.RUNNING), hosts=[on_host])
        )
    async with served(collector) as address:
        at = Endpoint(address)
        await asyncio.to_thread(commands.drain, "h1", wait=True, collector=at)
        await asyncio.to_thread(commands.forget, "h1", collector=at)
        await asyncio.to_thread(commands.drain, "h1", undo=True, collector=at)
    assert collector.drained == [("h1", False), ("h1", False), ("h1", True)]
    assert collector.forgotten == ["h1"]
    said = capsys.readouterr().err
    assert "run r1 goes on there" in said
    assert "h1 is empty" in said
    assert "h1 takes new runs" in said


def test_many_hosts_that_offer_the_same_share_a_row() -> None:
    few = [_host(f"h{number}") for number in range(3)]
    assert [row[:2] for row in commands.runtime_rows(few)] == [
        (f"h{number}", runtime) for number in range(3) for runtime in ("fake", "docker")
    ]
    many = [_host(f"h{number:02}") for number in range(50)]
    odd = replace(_host("odd"), runtimes=(fingerprint("fake"),))
    rows = commands.runtime_rows([*many, odd])
    assert [row[:3] for row in rows] == [
        ("51 hosts", "fake", RuntimeState.HEALTHY),
        ("50 hosts", "docker", RuntimeState.UNHEALTHY),
    ]


def test_waiting_for_a_host_to_empty_and_taking_it_back_in_exclude_each_other() -> None:
    with pytest.raises(InvalidInput) as caught:
        commands.drain("h1", undo=True, wait=True)
    assert caught.value.problem.field == "--wait"


class _Expecting(Scripted):
    """Takes a run in once ``there`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.there = asyncio.Event()
        self.hosts = [wire.filled(pb.HostInfo(), host) for host in _HOSTS[:2]]

    async def SubmitRun(self, request: Any, context: Any) -> Any:
        await self.there.wait()
        return await super().SubmitRun(request, context)


@dataclass
class _Said:
    """What a person was told; ``heard`` is set by the first of it."""

    lines: list[str] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, text: str) -> None:
        self.lines.append(text)
        self.heard.set()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> _Said:
    said = _Said()
    monkeypatch.setattr("collector.cli.screen.say", said.say)
    return said


def _expecting() -> Spec:
    return parse(
        "{name: a, workload: {image: i, readiness: {log: x}}, targets: [{runtime: fake}],"
        " startup: {trials: 3}, hosts: {expect: 2, wait: 60s}}"
    )


async def test_hosts_that_are_waited_for_are_told(said: _Said) -> None:
    collector = _Expecting()
    async with served(collector) as address, Client(Endpoint(address)) as client:
        sending = asyncio.create_task(submitting.submit(client, _expecting(), Interrupts()))
        await asyncio.wait_for(said.heard.wait(), 10)
        collector.there.set()
        assert await sending == "r1"
    told = "waiting up to 60 s for hosts: 1 of 2 hosts can take part: h1; h2 is suspect"
    assert [line[: len(told)] for line in said.lines] == [told]


async def test_ctrl_c_while_hosts_are_waited_for_starts_nothing(said: _Said) -> None:
    collector, interrupts = _Expecting(), Interrupts()
    async with served(collector) as address, Client(Endpoint(address)) as client:
        sending = asyncio.create_task(submitting.submit(client, _expecting(), interrupts))
        await asyncio.wait_for(said.heard.wait(), 10)
        interrupts.asked.set()
        with pytest.raises(Left, match="nothing was started"):
            await sending
    assert collector.submitted == []
