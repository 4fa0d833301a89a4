"""What every store must do so that one collector drives a run; see ``RunStore.own``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from collector.stores.base import Store
from tests.contracts.stores import Engine
from tests.runs_made_up import host_run, run

_RUNS = ("r1", "r2", "r3")


@pytest.fixture
async def begun(store: Store) -> Store:
    """A store with three runs."""
    for run_id in _RUNS:
        await store.create_run(run(run_id), [host_run(run_id)])
    return store


@pytest.fixture
async def other(engine: Engine, begun: Store) -> AsyncIterator[Store | None]:
    """Another collector's way to the store, if there can be one."""
    opened = await engine.open() if engine.shared else None
    yield opened
    if opened is not None:
        await opened.close()


async def test_an_owner_owns_until_it_lets_go(begun: Store) -> None:
    assert await begun.owner("r1") is None
    assert await begun.own("r1")
    assert await begun.own("r1")
    waiting = asyncio.create_task(begun.disowned("r1"))
    assert not (await asyncio.wait({waiting}, timeout=0.1))[0]
    await begun.disown("r1")
    await asyncio.wait_for(waiting, 5)
    await begun.disown("r1")
    assert await begun.own("r1")


async def test_a_row_tells_whose_a_run_is(begun: Store) -> None:
    await begun.own("r1")
    assert "process" in str(await begun.owner("r1"))
    assert await begun.owner("r2") is None
    await begun.disown("r1")
    assert "process" in str(await begun.owner("r1"))


async def test_what_is_not_owned_is_disowned_at_once(begun: Store) -> None:
    await asyncio.wait_for(begun.disowned("r1"), 5)


async def test_closing_lets_go_of_all(begun: Store, engine: Engine) -> None:
    for run_id in _RUNS:
        assert await begun.own(run_id)
    waiting = [asyncio.create_task(begun.disowned(run_id)) for run_id in _RUNS]
    await asyncio.sleep(0)
    await begun.close()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    second = await engine.open()
    try:
        assert [await second.own(run_id) for run_id in _RUNS] == [True] * 3
    finally:
        await second.close()


async def test_of_two_collectors_one_owns_a_run(begun: Store, other: Store | None) -> None:
    if other is None:  # this store has one collector by its nature
        assert await begun.own("r1")
        return
    for _ in range(5):
        for run_id in _RUNS:
            won = await asyncio.gather(begun.own(run_id), other.own(run_id))
            assert won.count(True) == 1
        owners = [await store.owner("r1") for store in (begun, other)]
        assert owners[0] == owners[1]
        for run_id in _RUNS:
            await asyncio.gather(begun.disown(run_id), other.disown(run_id))
    assert await other.own("r2")
    assert not await begun.own("r2")
    assert await begun.own("r1")  # the others of a collector's runs are not touched
    await other.disown("r2")
    assert await begun.own("r2")
