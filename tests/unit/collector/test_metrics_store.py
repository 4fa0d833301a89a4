"""What the metrics are told of the store: what it takes, and what it failed at."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import pytest

from collector.errors import NoSuchRun, SequenceGap, StoreError
from collector.metrics import Kept
from collector.server.stocktaking import Stocktaking
from collector.stores.base import ResultStore, Store
from collector.stores.postgres.store import PostgresStore
from collector.stores.sqlite.store import SqliteStore
from collector.stores.watched import watched


class _Store:
    """Raises what it is told to, else answers."""

    def __init__(self) -> None:
        self.raises: Exception | None = None
        self.closed_batches = False
        self.looked = asyncio.Event()

    def _fail(self) -> None:
        if self.raises is not None:
            raise self.raises

    async def size_bytes(self) -> int:
        self._fail()
        self.looked.set()
        return 4096

    async def without_result(self, limit: int) -> Sequence[str]:
        self._fail()
        return ["r1", "r2"][:limit]

    async def trials(self, run_id: str, batch: int = 1000) -> AsyncGenerator[Sequence[str], None]:
        try:
            yield [run_id]
            self._fail()
            yield [str(batch)]
        finally:
            self.closed_batches = True

    async def close(self) -> None:
        pass


def _watched(store: _Store) -> tuple[Store, list[int]]:
    failures: list[int] = []
    return watched(cast("Store", store), lambda: failures.append(1)), failures


async def test_each_failed_operation_is_told_and_still_raised() -> None:
    inner = _Store()
    store, failures = _watched(inner)
    assert await store.size_bytes() == 4096
    assert failures == []
    inner.raises = StoreError("disk full")
    for _ in range(2):
        with pytest.raises(StoreError, match="disk full"):
            await store.size_bytes()
    assert len(failures) == 2


@pytest.mark.parametrize("error", [SequenceGap("a gap"), NoSuchRun("none"), ValueError("x")])
async def test_what_is_not_the_stores_failure_is_not_told(error: Exception) -> None:
    inner = _Store()
    inner.raises = error
    store, failures = _watched(inner)
    with pytest.raises(type(error)):
        await store.size_bytes()
    assert failures == []


async def test_batches_fail_as_calls_do_and_are_closed_when_left() -> None:
    inner = _Store()
    store, failures = _watched(inner)
    batches = store.trials("r1", batch=7)
    first: Any = await anext(batches)
    assert first == ["r1"]
    inner.raises = StoreError("gone")
    with pytest.raises(StoreError):
        await anext(batches)
    assert (len(failures), inner.closed_batches) == (1, True)
    inner.raises, inner.closed_batches = None, False
    left = store.trials("r1")
    await anext(left)
    await left.aclose()
    assert inner.closed_batches


async def test_stock_is_taken_again_and_again_and_forgotten_while_the_store_fails() -> None:
    inner = _Store()
    stock = Stocktaking(cast("ResultStore", inner), every_seconds=0)
    assert stock.kept == Kept()
    work: asyncio.Task[Any] = asyncio.create_task(stock.run())
    try:
        async with asyncio.timeout(5):
            await inner.looked.wait()
            inner.looked.clear()
            await inner.looked.wait()
        assert stock.kept == Kept(store_bytes=4096, results_missing=2)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    inner.raises = StoreError("locked")
    with pytest.raises(StoreError):
        await stock.look()
    assert stock.kept == Kept()


@pytest.mark.parametrize("store", [SqliteStore, PostgresStore])
def test_every_operation_of_every_store_can_be_watched(store: type) -> None:
    """What is neither a coroutine nor a generator of its kind would fail unseen."""
    methods = [
        name
        for protocol in Store.__mro__
        for name, found in vars(protocol).items()
        if inspect.isfunction(found) and not name.startswith("_")
    ]
    assert len(methods) > 20
    for name in methods:
        method = getattr(store, name)
        assert inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method), name
