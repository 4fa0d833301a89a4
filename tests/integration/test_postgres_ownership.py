"""Collectors that share a PostgreSQL store: each run is driven by one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collector.stores.open import open_store
from collector.stores.postgres import ownership
from deploy.postgres import PrivatePostgres
from tests.integration.scripted_agent import ScriptedAgent
from tests.integration.stand import TRIALS, Stand
from tests.runs_made_up import host_run, run, whole_run
from tonnage.model import RunState

_OWNER = "FROM pg_stat_activity WHERE application_name = 'tonnage owner' AND datname = '{}'"


@pytest.fixture
async def agent() -> AsyncIterator[ScriptedAgent]:
    """One that waits in the middle of the run until ``holds[30]`` is set."""
    made = ScriptedAgent("h1", whole_run(TRIALS))
    made.holds = {30: asyncio.Event()}
    async with made:
        yield made


def _cut_owners(postgres: PrivatePostgres, url: str) -> int:
    database = url.rpartition("/")[2]
    return int(postgres.run(f"SELECT count(pg_terminate_backend(pid)) {_OWNER.format(database)}"))


async def test_who_loses_the_connection_loses_the_run_and_may_have_it_again(
    postgres: PrivatePostgres, postgres_url: str
) -> None:
    store = await open_store(postgres_url)
    try:
        await store.create_run(run(), [host_run()])
        for _ in range(3):
            assert await store.own("r1")
            lost = asyncio.create_task(store.disowned("r1"))
            await asyncio.sleep(0)
            assert _cut_owners(postgres, postgres_url) == 1
            await asyncio.wait_for(lost, 10)
    finally:
        await store.close()


async def test_a_run_is_held_without_keeping_a_transaction_open(
    postgres: PrivatePostgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "_RENEW_SECONDS", 0.02)
    began = f"SELECT xact_start {_OWNER.format(postgres_url.rpartition('/')[2])}"
    first, second = await open_store(postgres_url), await open_store(postgres_url)
    try:
        await first.create_run(run(), [host_run()])
        assert await first.own("r1")
        seen = {await asyncio.to_thread(postgres.run, began) for _ in range(20)}
        assert len(seen) > 3
        lost = asyncio.create_task(first.disowned("r1"))
        assert not (await asyncio.wait({lost}, timeout=0.1))[0]
        assert not await second.own("r1")
        await first.disown("r1")
        await lost
    finally:
        await first.close()
        await second.close()


async def test_two_collectors_never_drive_the_same_run(
    tmp_path: Path, postgres_url: str, agent: ScriptedAgent
) -> None:
    async with Stand(tmp_path, postgres_url) as first:
        await first.submit(agent)
        await first.until_ready(10)
        async with Stand(tmp_path, postgres_url) as second:
            seen = await second.until(lambda progress: progress.hosts[0].ready >= 10)
            assert seen.state is RunState.RUNNING
            assert not any(second.conductor.active().values())
            await second.returned(agent, 40)  # it moved, and is still the first one's to ask
            taking = [t for t in asyncio.all_tasks() if t.get_name().startswith("take back")]
            assert taking
            await asyncio.wait(taking)
            agent.holds[30].set()
            assert (await second.ended()).state is RunState.FINISHED
            assert await second.numbers() == list(range(TRIALS))
    assert len(agent.streams) == 1
    assert len(agent.plans) == 1


async def test_a_collector_takes_over_what_another_left(
    tmp_path: Path, postgres_url: str, agent: ScriptedAgent
) -> None:
    async with Stand(tmp_path, postgres_url) as second:
        async with Stand(tmp_path, postgres_url) as first:
            await first.submit(agent)
            await first.until_ready(10)
            assert not any(second.conductor.active().values())
            before = await first.store.owner("r1")
        agent.holds[30].set()
        assert (await second.ended()).state is RunState.FINISHED
        assert await second.numbers() == list(range(TRIALS))
        assert await second.store.owner("r1") not in (None, before)
    assert not agent.cancelled.is_set()
    assert len(agent.plans) == 1


async def test_a_run_is_cancelled_through_any_collector(
    tmp_path: Path, postgres_url: str, agent: ScriptedAgent
) -> None:
    async with Stand(tmp_path, postgres_url) as first, Stand(tmp_path, postgres_url) as second:
        await first.submit(agent)
        await first.until_ready(10)
        await second.conductor.cancel("r1")
        await asyncio.wait_for(agent.cancelled.wait(), 10)
        assert (await second.ended()).state is RunState.CANCELLED


async def test_a_collector_that_lost_its_hold_drives_the_run_again_once_it_has_it(
    tmp_path: Path, postgres: PrivatePostgres, postgres_url: str, agent: ScriptedAgent
) -> None:
    async with Stand(tmp_path, postgres_url) as stand:
        await stand.submit(agent)
        await stand.until_ready(10)
        watched = asyncio.create_task(stand.ended())
        assert _cut_owners(postgres, postgres_url) == 1
        async with asyncio.timeout(10):
            while any(stand.conductor.active().values()):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.001)
        agent.holds[30].set()
        assert (await watched).state is RunState.FINISHED
        assert await stand.numbers() == list(range(TRIALS))
    assert len(agent.streams) == 2
    assert not agent.cancelled.is_set()
