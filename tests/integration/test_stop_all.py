"""The red button, from the command line to the agents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from collector.client import Client
from collector.errors import NoSuchHost, TonnageError
from collector.fleet import Fleet, Keeper, Registration
from collector.server.stopping import RedButton
from collector.views import HostCleaning, HostKilled, Stopped
from tests.integration.collector_process import CollectorProcess, collector_process
from tests.integration.scripted_agent import ScriptedAgent
from tests.integration.servers import tonnage
from tests.integration.stand import TRIALS, Stand
from tests.integration.test_collector_server import register
from tests.runs_made_up import facts, fingerprint, whole_run
from tonnage.model import InstanceInfo, Problem, RunState


def instance(name: str) -> InstanceInfo:
    return InstanceInfo(name, "fake", "r1", "t", "ready", 1, "tonnage/idle:1")


@pytest.fixture
async def agents() -> AsyncIterator[list[ScriptedAgent]]:
    """Three that work on a run until they are cancelled."""
    async with AsyncExitStack() as stack:
        made = [ScriptedAgent(f"h{n}", whole_run(TRIALS, f"h{n}")) for n in (1, 2, 3)]
        for agent in made:
            agent.holds = {30: asyncio.Event()}
            agent.instances = [instance(f"{agent.host}-i1"), instance(f"{agent.host}-i2")]
            await stack.enter_async_context(agent)
        yield made


@pytest.fixture
async def stand(tmp_path: Path, agents: list[ScriptedAgent]) -> AsyncIterator[Stand]:
    async with Stand(tmp_path) as made:
        for agent in agents:
            told = facts(agent.host, f"id-{agent.host}")
            made.fleet.register(Registration(told, (fingerprint(),), agent.address))
        yield made


async def pressed(stand: Stand, host: str = "") -> dict[str, list[Stopped]]:
    answers: dict[str, list[Stopped]] = {}
    async with asyncio.timeout(20):
        async for stopped in RedButton(stand.fleet, stand.conductor).press(host):
            answers.setdefault(stopped.host, []).append(stopped)
    return answers


async def test_everything_is_killed_removed_cancelled_and_kept_from_new_runs(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    await stand.submit(*agents)
    await stand.until_ready(10)
    await stand.submit(agents[0], run_id="r2")
    answers = await pressed(stand)
    assert sorted(answers) == ["h1", "h2", "h3"]
    for host, (first, second) in answers.items():
        ids = (f"{host}-i1", f"{host}-i2")
        assert first.answer == HostKilled(host, ids, (), 0.5)
        assert second.answer == HostCleaning(host, ids, ())
    assert (await stand.ended()).state is RunState.CANCELLED
    assert (await stand.ended("r2")).state is RunState.CANCELLED
    assert [made.run_id for made in agents[0].plans] == ["r1"]
    assert all(host.draining for host in stand.fleet.hosts())


async def test_a_run_that_is_being_stored_when_the_button_is_pressed_never_begins(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    async with stand.store.writing():  # type: ignore[attr-defined]  # the store is busy
        submitting = asyncio.create_task(stand.submit(*agents))
        await asyncio.sleep(0)
        pressing = asyncio.create_task(stand.conductor.cancel_on(["h1"]))
        await asyncio.sleep(0)
    await asyncio.gather(submitting, pressing)
    assert (await stand.ended()).state is RunState.CANCELLED
    assert (await stand.store.find_run("r1")).cancel_requested
    assert not any(agent.plans for agent in agents)


async def test_no_new_run_is_planned_for_a_host_whose_draining_is_not_on_disk_yet(
    tmp_path: Path, agents: list[ScriptedAgent]
) -> None:
    async with Stand(tmp_path) as stand:
        fleet = Fleet(keeper=Keeper(stand.store, 3600.0))
        fleet.register(Registration(facts("h1"), (fingerprint(),), agents[0].address))
        async with stand.store.writing():  # type: ignore[attr-defined]  # the store is busy
            draining = asyncio.create_task(fleet.drain("h1", True))
            await asyncio.sleep(0)
            assert fleet.get("h1").draining
        await draining
        await fleet.close()


async def test_a_dead_host_is_told_apart_and_holds_up_no_other(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    await agents[1].die()
    answers = await pressed(stand)
    (dead,) = answers["h2"]
    assert isinstance(dead.answer, Problem)
    assert "does not answer" in dead.answer.message
    assert [len(answers[host]) for host in ("h1", "h3")] == [2, 2]
    assert stand.fleet.get("h2").draining


async def test_one_host_is_stopped_and_its_runs_on_all_of_theirs(
    stand: Stand, agents: list[ScriptedAgent]
) -> None:
    await stand.submit(agents[0], agents[1])
    await stand.submit(agents[2], run_id="r2")
    await stand.until_ready(10)
    await stand.until(lambda progress: progress.hosts[0].ready >= 10, "r2")
    assert list(await pressed(stand, "h1")) == ["h1"]
    assert (await stand.ended()).state is RunState.CANCELLED
    assert [agent.stopped for agent in agents] == [1, 0, 0]
    assert agents[1].cancelled.is_set()
    assert not agents[2].cancelled.is_set()
    assert [host.draining for host in stand.fleet.hosts()] == [True, False, False]


async def test_a_store_that_fails_keeps_nothing_alive(
    stand: Stand, agents: list[ScriptedAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object) -> None:
        raise TonnageError("the store failed: disk full")

    monkeypatch.setattr(stand.fleet, "drain", failing)
    monkeypatch.setattr(stand.store, "request_cancel", failing)
    answers = await pressed(stand)
    assert [agent.stopped for agent in agents] == [1, 1, 1]
    told = [each.answer for each in answers["h1"] if isinstance(each.answer, Problem)]
    assert "takes new runs once" in told[0].message


async def test_it_goes_on_though_nobody_listens(stand: Stand, agents: list[ScriptedAgent]) -> None:
    button = RedButton(stand.fleet, stand.conductor)
    listening = button.press("")
    await anext(listening)
    await listening.aclose()  # type: ignore[attr-defined]  # it is a generator
    async with asyncio.timeout(10):
        while any(agent.instances for agent in agents):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)


async def test_a_host_that_nobody_knows_is_named(stand: Stand) -> None:
    with pytest.raises(NoSuchHost, match="h9"):
        await pressed(stand, "h9")


# From the command line


@pytest.fixture
async def collector(tmp_path: Path, agents: list[ScriptedAgent]) -> AsyncIterator[CollectorProcess]:
    async with collector_process(tmp_path) as process:
        for agent in agents:
            await register(process.address, agent)
        yield process


async def stop_all(collector: CollectorProcess, *arguments: str) -> CompletedProcess[str]:
    given = ("stop-all", *arguments)
    return await asyncio.to_thread(tonnage, *given, TONNAGE_COLLECTOR=collector.address)


async def test_the_command_tells_what_was_stopped(
    collector: CollectorProcess, agents: list[ScriptedAgent]
) -> None:
    done = await stop_all(collector, "--yes")
    assert done.returncode == 0, done.stderr
    assert "h1: killed 2 in 0.5 s" in done.stderr
    assert "tonnage drain HOST --undo" in done.stderr
    header, *rows = (line.split() for line in done.stdout.splitlines())
    assert header == ["HOST", "KILLED", "WITHIN", "REMOVED", "LEAKED", "REACHED"]
    assert rows == [[f"h{n}", "2", "0.5", "s", "2", "-", "yes"] for n in (1, 2, 3)]
    async with Client(collector.address) as client:
        assert {host.state for host in await client.hosts()} == {"draining"}


async def test_the_command_leaves_with_6_for_a_leak_and_5_for_a_host_not_reached(
    collector: CollectorProcess, agents: list[ScriptedAgent]
) -> None:
    await agents[2].die()
    done = await stop_all(collector, "--yes")
    assert done.returncode == 5
    assert "not reached to the end: h3" in done.stderr
    failed = ("audit", "--failed", "--command", "StopAll", "--output", "json")
    audit = await asyncio.to_thread(tonnage, *failed, TONNAGE_COLLECTOR=collector.address)
    (entry,) = json.loads(audit.stdout)
    assert entry["outcome"] == "PARTIAL"
    assert entry["reason"].startswith("not reached: h3; h3: ")
    agents[0].instances, agents[0].survivors = [instance("h1-i3")], {"h1-i3"}
    leaked = await stop_all(collector, "--yes", "--output", "json")
    assert leaked.returncode == 6
    ends: dict[str, Any] = {end["host"]: end for end in json.loads(leaked.stdout)}
    assert ends["h1"]["leaked"] == ["h1-i3"]
    assert (ends["h2"]["unreached"], ends["h3"]["unreached"]) == (False, True)


async def test_without_a_terminal_the_command_must_be_told_that_it_is_meant(
    collector: CollectorProcess, agents: list[ScriptedAgent]
) -> None:
    refused = await stop_all(collector)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert [agent.stopped for agent in agents] == [0, 0, 0]
