"""Hosts that are at work on a run that the collector would let wait, and hosts that are
not who they are taken for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collector.errors import Unreachable
from collector.fleet import Registration
from collector.model import HostRun
from collector.server.submission import Submission
from collector.stores.open import open_store
from tests.integration.scripted_agent import ScriptedAgent
from tests.integration.stand import TRIALS, Stand
from tests.runs_made_up import facts, fingerprint, plan, run, whole_run
from tonnage.model import RunState

SPEC = {
    "name": "mistaken",
    "workload": {"image": "fake:ok", "readiness": {"log": "TONNAGE READY"}},
    "targets": [{"runtime": "fake"}],
    "startup": {"trials": 5, "warmup": 0},
}


@pytest.fixture
async def agent() -> AsyncIterator[ScriptedAgent]:
    """At work until it may go on."""
    async with ScriptedAgent("h1", whole_run(TRIALS)) as made:
        made.holds = {30: asyncio.Event()}
        yield made


@pytest.fixture
async def other() -> AsyncIterator[ScriptedAgent]:
    """Likewise."""
    async with ScriptedAgent("h2", whole_run(TRIALS, "h2")) as made:
        made.holds = {30: asyncio.Event()}
        yield made


def given_plans(agent: ScriptedAgent) -> list[str]:
    """The runs that the agent was given, each once."""
    return list(dict.fromkeys(made.run_id for made in agent.plans))


async def test_a_host_at_work_when_the_collector_returns_is_attached_and_not_queued(
    tmp_path: Path, agent: ScriptedAgent, other: ScriptedAgent
) -> None:
    async with Stand(tmp_path) as stand:
        await stand.submit(other, run_id="r0")
        await stand.submit(agent, run_id="r2")
        await stand.until(lambda progress: progress.hosts[0].ready >= 10, "r0")
        await stand.until(lambda progress: progress.hosts[0].ready >= 10, "r2")
    store = await open_store(str(tmp_path / "store"))
    both = [HostRun("r1", a.host, a.address, plan("r1", TRIALS, 60.0)) for a in (agent, other)]
    await store.create_run(run("r1"), both)  # before r2 in the line, and for want of h2 not begun
    await store.close()
    async with Stand(tmp_path) as stand:
        assert [run.run_id for run in await stand.store.unfinished_runs()] == ["r0", "r1", "r2"]
        assert set(stand.conductor.before("r1")) == {"r0", "r2"}
        assert stand.conductor.before("r2") == ()
        agent.holds[30].set()
        assert (await stand.ended("r2")).state is RunState.FINISHED
        assert given_plans(agent) == ["r2"]
        other.holds[30].set()
        assert (await stand.ended("r1")).state is RunState.FINISHED
    assert given_plans(agent) == ["r2", "r1"]
    assert given_plans(other) == ["r0", "r1"]


async def test_a_host_that_says_it_is_at_work_on_a_run_in_line_goes_on_with_it(
    tmp_path: Path, agent: ScriptedAgent
) -> None:
    async with Stand(tmp_path) as stand:
        await stand.submit(agent)
        await stand.until_ready(10)
        await stand.submit(agent, run_id="r2")
        assert stand.conductor.before("r2") == ("r1",)
        await stand.returned(agent, 5, "r2")
        await stand.until(lambda progress: progress.hosts[0].ready >= 10, "r2")
        assert stand.conductor.before("r2") == ()
        assert not (await stand.store.find_run("r1")).state.ended
        agent.holds[30].set()
        assert (await stand.ended("r1")).state is RunState.FINISHED
        assert (await stand.ended("r2")).state is RunState.FINISHED


async def test_nothing_is_submitted_where_another_host_answers_at_the_address(
    tmp_path: Path, agent: ScriptedAgent
) -> None:
    async with Stand(tmp_path) as stand:
        told = Registration(facts("h2", "id-h2"), (fingerprint(),), agent.address)
        stand.fleet.register(told)
        submission = Submission(stand.fleet, stand.conductor)
        with pytest.raises(Unreachable) as caught:
            await submission.submit(json.dumps(SPEC), "")
        text = str(caught.value)
        assert f"host h2 at {agent.address} does not answer: host h1 does instead" in text
        assert await stand.store.list_runs(10) == ()
    assert agent.plans == []


async def test_what_the_right_host_answers_at_is_submitted(
    tmp_path: Path, agent: ScriptedAgent
) -> None:
    agent.holds[30].set()
    async with Stand(tmp_path) as stand:
        stand.fleet.register(Registration(facts("h1"), (fingerprint(),), agent.address))
        made = await Submission(stand.fleet, stand.conductor).submit(json.dumps(SPEC), "")
        assert (await stand.ended(made.run_id)).state is RunState.FINISHED
