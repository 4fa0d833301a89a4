"""Isolation on a real agent over real gRPC, judged as the collector judges it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.clock import BootClock
from collector.model import HostFact, RunData
from collector.reports.rows import IsolationRow
from collector.results.isolation import isolation_rows
from collector.results.subjects import Subjects
from tests.integration.agents import Agent, agent, finished, isolation, payloads, plan, target
from tests.runs_made_up import host_run, run
from tonnage.model import Inside, Plan, RunState, StageFinished, Target, Trial, TrialEnd


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Agent]:
    async with agent(tmp_path) as made:
        yield made


def plan_of(of: Target) -> Plan:
    return plan(isolation(2), targets=(of,))


def judged(inside: Inside, of: Plan) -> IsolationRow:
    data = RunData(run(), (replace(host_run(), plan=of),), (), (HostFact("h1", 1, 1, inside),))
    (row,) = isolation_rows(data, Subjects(data))
    return row


def seen(row: IsolationRow) -> set[bool | None]:
    return {one.seen for one in row.sights if one.of == "neighbour"}


async def test_two_instances_are_asked_and_what_they_said_is_kept(host: Agent) -> None:
    whole = plan_of(target(FAKE_OWN_KERNEL="1"))
    events = await host.run(whole)
    (inside,) = payloads(events, Inside)
    assert len(payloads(events, Trial)) == len(payloads(events, TrialEnd)) == 2
    assert len({answer.mark for answer in inside.answers}) == 2
    for answer in inside.answers:
        assert json.loads(answer.facts_json)["files"] == [answer.mark]
    row = judged(inside, whole)
    assert (row.answered, row.boot_id, seen(row)) == (2, "own", {False})
    assert row.outside is not None
    assert row.outside.boot_id == BootClock.of_this_host().boot_id
    assert finished(events).state is RunState.FINISHED


async def test_instances_that_see_each_other_are_found_out(host: Agent) -> None:
    whole = plan_of(target("fake:leaky"))
    (inside,) = payloads(await host.run(whole), Inside)
    assert seen(judged(inside, whole)) == {True}


async def test_a_workload_that_does_not_answer_ends_the_stage_with_the_way_out(
    host: Agent,
) -> None:
    whole = plan_of(target("fake:mute"))
    events = await host.run(whole)
    (inside,) = payloads(events, Inside)
    (stage,) = payloads(events, StageFinished)
    assert all(answer.error for answer in inside.answers)
    assert stage.problem is not None
    assert "tonnage/idle:1" in stage.problem.remedy
    assert judged(inside, whole).answered == 0
