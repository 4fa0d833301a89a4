"""A collector and its agents as processes, killed in the middle of a run over all of them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest

from collector.client import Client
from collector.views import Progress
from tests.integration.agents import Agent, agent
from tests.integration.collector_process import CollectorProcess, collector_process
from tonnage.model import Outcome, RunState

TRIALS = 60
SPEC = {
    "name": "outlives",
    "hosts": {"expect": 2, "wait": "20s", "barrier": "30s"},
    "workload": {
        "image": "fake:ok",
        "readiness": {"log": "TONNAGE READY"},
        "environment": {"FAKE_READY_MS": "25"},
    },
    "targets": [{"runtime": "fake"}],
    "startup": {"trials": TRIALS, "warmup": 0},
}


class World:
    """One collector and two agents, each of which can be killed and started again."""

    def __init__(self, folder: Path, *collector_flags: str) -> None:
        self._folder = folder
        self._flags = ("--lease", "0.5", *collector_flags)
        self._stack = AsyncExitStack()
        self.collector: CollectorProcess
        self.agents: dict[str, Agent] = {}

    async def __aenter__(self) -> Self:
        await self.start_collector("127.0.0.1:0")
        for name in ("h1", "h2"):
            await self.start_agent(name)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start_collector(self, listen: str) -> None:
        made = collector_process(self._folder, *self._flags, listen=listen)
        self.collector = await self._stack.enter_async_context(made)

    async def start_agent(self, name: str) -> None:
        flags = ("--name", name, "--collector", self.collector.address)
        made = agent(self._folder / name, *flags)
        self.agents[name] = await self._stack.enter_async_context(made)

    async def restart(self, *parts: str) -> None:
        """Kill them all, then start them all."""
        for part in parts:
            await (self.collector if part == "collector" else self.agents[part]).kill()
        for part in parts:
            if part == "collector":
                await self.start_collector(self.collector.address)
            else:
                await self.start_agent(part)


async def seen(client: Client, run_id: str, host: str, ready: int) -> None:
    """Return once the store has so many trials of the host."""
    async for progress in client.watch(run_id):
        if next(h for h in progress.hosts if h.host == host).ready >= ready:
            return
    raise AssertionError("the run ended before")


async def ended(client: Client, run_id: str) -> Progress:
    async with asyncio.timeout(50):
        return [progress async for progress in client.watch(run_id)][-1]


async def check_whole(client: Client, run_id: str, host: str) -> None:
    """Every trial is there once for each attempt, and of its attempts exactly one was ready."""
    rows = [r async for batch in client.trials(run_id) for r in batch if r.host == host]
    attempts = Counter((row.trial.trial_id, row.trial.attempt) for row in rows)
    assert set(attempts.values()) == {1}
    ready = Counter(row.trial.number for row in rows if row.trial.outcome is Outcome.READY)
    assert ready == Counter(range(TRIALS))
    others = {row.trial.outcome for row in rows} - {Outcome.READY}
    assert others <= {Outcome.INTERRUPTED}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as made:
        yield made


@pytest.mark.parametrize("parts", [("h1",), ("collector",), ("collector", "h1", "h2")])
async def test_no_trial_is_lost_or_doubled_whatever_is_killed(
    world: World, parts: tuple[str, ...]
) -> None:
    async with Client(world.collector.address) as client:
        run_id = await client.submit(json.dumps(SPEC))
        await seen(client, run_id, "h1", 10)
        await world.restart(*parts)
        assert (await ended(client, run_id)).state is RunState.FINISHED
        for host in ("h1", "h2"):
            await check_whole(client, run_id, host)


async def test_a_host_that_was_given_up_takes_its_run_up_by_itself(tmp_path: Path) -> None:
    async with (
        World(tmp_path, "--lost-after", "0.5") as world,
        Client(world.collector.address) as client,
    ):
        run_id = await client.submit(json.dumps(SPEC))
        await seen(client, run_id, "h1", 10)
        await world.agents["h1"].kill()
        lost = await ended(client, run_id)
        assert lost.state is RunState.PARTIAL
        assert [host.state for host in lost.hosts] == [RunState.PARTIAL, RunState.FINISHED]
        await world.start_agent("h1")
        async with asyncio.timeout(50):
            while (await ended(client, run_id)).state is RunState.PARTIAL:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.05)
        assert (await ended(client, run_id)).state is RunState.FINISHED
        for host in ("h1", "h2"):
            await check_whole(client, run_id, host)
