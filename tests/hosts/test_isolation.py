"""What real instances tell of themselves, judged: one pair of each runtime."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.experiments.base import Answered, Ask
from agent.probes.base import Roots
from agent.runner.asking import ask_all
from agent.runner.holdings import Holding
from agent.runner.observer import Observer
from agent.runtimes.registry import open_runtimes
from agent.storage.journal import Entry
from collector.model import HostFact, RunData
from collector.reports.rows import IsolationRow
from collector.results.isolation import isolation_rows
from collector.results.subjects import Subjects
from tests.contracts.runtimes import KINDS, Stand, settings_for
from tests.runs_made_up import host_run, run, trial
from tonnage.model import Inside, IsolationStage, Stage

MARKS = (("t1", "tonnage-mark-one"), ("t2", "tonnage-mark-two"))


@dataclass
class Pair:
    """Two ready instances of one runtime, side by side."""

    stand: Stand
    held: dict[str, Holding]

    async def asked(self) -> Answered:
        """What both say, and their host."""
        observer = Observer(Roots(), ())
        return await ask_all(Ask(MARKS, 30.0), self.held, observer)


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("qemu-microvm", marks=pytest.mark.qemu),
    ]
)
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    kind = KINDS[request.param]
    given = {name: request.getfixturevalue(name) for name in kind.needs}
    name = f"s{uuid.uuid4().hex[:10]}"
    settings = settings_for(kind, given, name, tmp_path)
    (runtime,) = open_runtimes([kind.name], settings)
    stand = Stand(kind, runtime, settings, run_id=name)
    try:
        made = await asyncio.gather(stand.ready(), stand.ready())
        entry = Entry("i", kind.name, name, "", trial(0))
        held = [Holding(replace(entry, instance_id=one.id), instance=one) for one in made]
        yield Pair(stand, dict(zip(("t1", "t2"), held, strict=True)))
    finally:
        await stand.close()


async def test_a_pair_sees_nothing_of_each_other_and_tells_whose_kernel_it_is(pair: Pair) -> None:
    said = await pair.asked()
    assert [answer.error for answer in said.answers] == ["", ""]
    row = judged(said)
    assert {one.facet: one.seen for one in row.sights if one.of == "neighbour"} == {
        "processes": False,
        "mounts": False,
        "hostname": False,
        "network": False,
    }
    container = pair.stand.kind.name == "docker"
    expected = "host's" if container else "own"
    assert (row.boot_id, row.start_time) == (expected, expected)
    assert row.host_sees_workload == (2 if container else 0)
    for answer in said.answers:
        assert {process.pid for process in answer.processes} >= set(answer.marked_pids)
        assert answer.processes


def judged(said: Answered) -> IsolationRow:
    stage = Stage("i", IsolationStage("fake", 2, 30.0, 60.0))
    host = host_run()
    host = replace(host, plan=replace(host.plan, stages=(stage,)))
    fact = HostFact("h1", 1, 1, Inside("i", said.host_facts_json, said.answers))
    data = RunData(run(), (host,), (), (fact,))
    (row,) = isolation_rows(data, Subjects(data))
    return row
