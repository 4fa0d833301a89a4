"""How long people wait for what is in a store of ten million trials, of either engine.

A collector in a process of its own serves the store; ``tonnage runs`` and ``tonnage show`` are
asked of it over gRPC, as the command line does, each time of another run. One run's trials are
read as a collector reads them. What the dashboard Run asks is asked of PostgreSQL itself,
variables and macros written out as Grafana does. Nobody else is at work.
``TONNAGE_BENCH_TRIALS`` makes the store smaller.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks import large_store
from benchmarks.large_store import Large
from benchmarks.rows import Row, quantile_with_interval
from collector.client import Client
from collector.dashboards import run_sql
from collector.endpoint import Endpoint
from collector.stores.open import open_store
from deploy.observe.interpolation import Bound, Scope, sql
from deploy.observe.prometheus import Prometheus
from deploy.observe.sources import Sources
from deploy.observe.times import Range
from deploy.postgres import PrivatePostgres, query
from tests.integration.servers import started

# Three samples lie beyond a p95.
_TIMES, _WARM_UP = 60, 5
_TARGET_SECONDS = 0.3
_SEED = 20260101
# The store is thrown away; what its rows are asked for does not depend on these.
_SETTINGS = (
    "shared_buffers=512MB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=8GB",
    "synchronous_commit=off",
)

Question = Callable[[str, str], Awaitable[object]]


async def measure() -> list[Row]:
    """Rows for SQLite, then for PostgreSQL."""
    rows = await of_sqlite()
    if (reason := PrivatePostgres.unavailable()) is None:
        return [*rows, *await of_postgres()]
    print(f"nothing of PostgreSQL: {reason}", file=sys.stderr)
    return rows


async def of_sqlite() -> list[Row]:
    """Rows for the embedded store."""
    with tempfile.TemporaryDirectory(prefix="tonnage-bench-") as folder:
        place = str(Path(folder, "store"))
        file = Path(place, "tonnage.db")
        large = await large_store.fill(place, partial(large_store.into_sqlite, file))
        return [
            *await _asked_of_collector("SQLite", place, large),
            *await _read_by_index("SQLite", place, large),
        ]


async def of_postgres() -> list[Row]:
    """Rows for a PostgreSQL of our own."""
    postgres = PrivatePostgres(Path(tempfile.mkdtemp(prefix="tonnage-bench-")), _SETTINGS)
    try:
        postgres.start()
        url = postgres.create_database("large")
        large = await large_store.fill(url, partial(large_store.into_postgres, url))
        await asyncio.to_thread(query, url, "VACUUM ANALYZE")  # as autovacuum does by and by
        return [
            *await _asked_of_collector("PostgreSQL", url, large),
            *await _read_by_index("PostgreSQL", url, large),
            *await _asked_of_dashboard(url, large),
        ]
    finally:
        postgres.remove()


async def _asked_of_collector(engine: str, place: str, large: Large) -> list[Row]:
    """Rows for what the command line asks."""
    with tempfile.TemporaryDirectory(prefix="tonnage-bench-") as folder:
        words = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--store", place]
        with started("collector.app", words, Path(folder, "collector.log")) as server:
            async with Client(Endpoint(server.address)) as client:

                async def runs(_run: str, _other: str) -> object:
                    return await client.runs()

                async def show(run: str, _other: str) -> object:
                    return await client.result(run)

                return [
                    await _row(f"{engine}: {name}", question, large)
                    for name, question in (
                        ("tonnage runs", runs),
                        ("tonnage show", show),
                    )
                ]


async def _read_by_index(engine: str, place: str, large: Large) -> list[Row]:
    """A row for one run's trials, all of them."""
    store = await open_store(place)

    async def trials(run: str, _other: str) -> object:
        found = [row async for batch in store.trials(run) for row in batch]
        if len(found) != count:
            raise RuntimeError(f"run {run} has {len(found)} trials, not {count}")
        return found

    count = large.trials // len(large.runs)
    try:
        return [await _row(f"{engine}: the {count:,} trials of one run", trials, large)]
    finally:
        await store.close()


async def _asked_of_dashboard(url: str, large: Large) -> list[Row]:
    """A row for each statement of the dashboard Run."""
    connection = await asyncpg.connect(url)
    try:
        return [
            await _row(f"dashboard Run: {name}", _statement(connection, text, large), large)
            for name, text in _statements()
        ]
    finally:
        await connection.close()


def _statements() -> Sequence[tuple[str, str]]:
    """The dashboard's, by name."""
    found = [(name, text) for name, text in vars(run_sql).items() if name.isupper()]
    return [(name.lower(), text) for name, text in found if not name.startswith("_")]


def _statement(connection: asyncpg.Connection[asyncpg.Record], text: str, large: Large) -> Question:
    """Looks at everything there is, but for one run."""
    sources = Sources(Prometheus(""))
    everything = Range(large.first_ns / 1e9 - 600, large.last_ns / 1e9 + 7200)

    async def ask(run: str, other: str) -> object:
        return await connection.fetch(sources.statement(text, _scope(run, other), everything, sql))

    return ask


def _scope(run: str, other: str) -> Scope:
    chosen = {"run": (run,), "other": (other,)}
    several = {"host": ("h1", "h2"), "target": ("docker", "qemu-microvm")}
    return {
        **{name: Bound(name, values, values) for name, values in chosen.items()},
        **{name: Bound(name, values, values, True) for name, values in several.items()},
    }


async def _row(name: str, question: Question, large: Large) -> Row:
    seconds = [each async for each in _timed(question, large)][_WARM_UP:]
    value, ci = quantile_with_interval(seconds, 0.95)
    note = f"{large.trials:,} trials in {len(large.runs):,} runs"
    return Row(f"{name}, p95", value, ci, "s", _TARGET_SECONDS, "max", len(seconds), note)


async def _timed(question: Question, large: Large) -> AsyncIterator[float]:
    picks = random.Random(_SEED).choices(large.runs, k=2 * (_TIMES + _WARM_UP))  # noqa: S311 - not for secrets
    for run, other in zip(picks[::2], picks[1::2], strict=True):
        began = time.perf_counter()
        await question(run, other)
        yield time.perf_counter() - began
