"""Runs while the collector's own store fails, as it does when its disk is full."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.errors import StoreError
from collector.stores.base import Store
from tests.integration.scripted_agent import ScriptedAgent
from tests.integration.stand import TRIALS, Stand
from tests.runs_made_up import whole_run
from tonnage.model import RunState

WRITES = ("append", "set_run_state", "set_host_state", "request_cancel", "create_run")


class Disk:
    """Is full until it has ``room``: ``refused`` counts what was brought meanwhile."""

    def __init__(self) -> None:
        self.room = False
        self.refused = 0

    def under(self, write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def written(*values: object, **named: object) -> Any:
            if self.room:
                return await write(*values, **named)
            self.refused += 1
            raise StoreError("the store failed: database or disk is full")

        return written

    async def patience_would_have_ended(self) -> None:
        """A host is given up after a second; its time limit is over sooner than that."""
        async with asyncio.timeout(20):
            while self.refused < 25:  # noqa: ASYNC110 - a tenth of a second lies between two
                await asyncio.sleep(0.05)


@contextmanager
def full(store: Store) -> Iterator[Disk]:
    disk = Disk()
    for name in WRITES:
        setattr(store, name, disk.under(getattr(store, name)))
    yield disk
    disk.room = True


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with Stand(tmp_path) as made:
        yield made


@pytest.fixture
async def agent() -> AsyncIterator[ScriptedAgent]:
    async with ScriptedAgent("h1", whole_run(TRIALS)) as made:
        yield made


async def test_a_run_goes_on_once_there_is_room_however_long_that_takes(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.holds = {30: asyncio.Event()}
    await stand.submit(agent, time_limit_seconds=0.5)
    await stand.until_ready(10)
    with full(stand.store) as disk:
        agent.holds[30].set()
        await disk.patience_would_have_ended()
        assert (await stand.store.find_run("r1")).state is RunState.RUNNING  # reads go on
    assert (await stand.ended()).state is RunState.FINISHED
    assert not agent.cancelled.is_set()
    assert await stand.numbers() == list(range(TRIALS))


async def test_the_end_of_a_host_and_of_a_run_wait_for_room_too(
    stand: Stand, agent: ScriptedAgent
) -> None:
    agent.holds = {30: asyncio.Event()}
    await stand.submit(agent)
    await stand.until_ready(10)
    with full(stand.store) as disk:
        await agent.die()
        async with asyncio.timeout(20):
            while disk.refused < 5:  # noqa: ASYNC110 - it is given up, and that cannot be stored
                await asyncio.sleep(0.05)
    found = await stand.ended()
    assert found.state is RunState.PARTIAL
    assert "does not answer" in str(found.problem)


async def test_a_run_that_cannot_be_read_keeps_no_other_from_going_on(
    tmp_path: Path, agent: ScriptedAgent
) -> None:
    agent.holds = {30: asyncio.Event()}
    async with Stand(tmp_path) as old:
        await old.submit(agent)
        await old.until_ready(10)
        await old.submit(ScriptedAgent("h2", ()), run_id="r0")
    with sqlite3.connect(tmp_path / "store" / "tonnage.db") as connection:
        connection.execute("UPDATE host_run SET plan_json = '{' WHERE run_id = 'r0'")
    connection.close()
    async with Stand(tmp_path) as new:
        agent.holds[30].set()
        assert (await new.ended()).state is RunState.FINISHED
