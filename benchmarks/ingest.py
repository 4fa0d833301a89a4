"""What the collector makes of the store's speed: trial events off the wire into each store.

The candidate is a whole collector's ingest: a real ``grpc.aio`` agent in a
process of its own streams events, a ``Drive`` stores and acknowledges them, each
batch after its commit. The baseline is what the raw driver takes for the very same
rows, with the same settings and tables, prepared beforehand, in one transaction:
``executemany`` into SQLite, COPY into PostgreSQL. The two alternate.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import aiosqlite
import asyncpg

from benchmarks.rows import Row, paired_ratio
from collector.conductor.dialling import Dialler
from collector.conductor.drive import Drive
from collector.conductor.patience import Patience
from collector.fleet import Fleet
from collector.model import HostRun
from collector.stores import schema
from collector.stores.open import open_store
from collector.stores.sql.ingest import COLUMNS, Rows
from collector.stores.sqlite.appends import INSERT_END, INSERT_FACT, INSERT_TRIAL
from collector.stores.sqlite.store import PRAGMAS
from deploy.postgres import PrivatePostgres
from tests.integration.scripted_agent import ScriptedAgent
from tests.runs_made_up import host_run, plan, run, whole_run
from tonnage.model import Problem, RunState
from tonnage.v1 import model_pb2

_TRIALS = 30_000
_BATCH = 500
_ROUNDS = 8


@dataclass(frozen=True)
class _Engine:
    """A kind of store: where new ones are, and how its driver takes rows."""

    driver: str
    new_place: Callable[[], AbstractContextManager[str]]
    raw: Callable[[str, Rows], Awaitable[float]]


async def measure() -> list[Row]:
    """A row an engine: events a second against the raw driver's, and what that is."""
    events = whole_run(_TRIALS)
    with ExitStack() as stack:
        engines = [_Engine("executemany", _folder, _executemany)]
        if (reason := PrivatePostgres.unavailable()) is None:
            home = Path(tempfile.mkdtemp(prefix="tonnage-bench-"))
            postgres = PrivatePostgres(home)
            stack.callback(postgres.remove)
            postgres.start()
            engines.append(_Engine("COPY", lambda: _database(postgres), _copy))
        else:
            print(f"no ingest into PostgreSQL: {reason}", file=sys.stderr)
        async with _agent_process() as address:
            return [await _compared(engine, address, events) for engine in engines]


async def _compared(engine: _Engine, address: str, events: Sequence[model_pb2.Event]) -> Row:
    ours, raw = [], []
    for number in range(_ROUNDS + 1):
        with engine.new_place() as place:
            pair = (
                await _through_grpc(place, address, len(events)),
                await _raw(engine, events),
            )
        if number:  # the first pair warms both up
            ours.append(len(events) / pair[0])
            raw.append(len(events) / pair[1])
    value, ci = paired_ratio(ours, raw)
    note = (
        f"{median(ours):,.0f} events/s acknowledged after a synced commit;"
        f" raw {engine.driver} {median(raw):,.0f} rows/s"
    )
    name = f"ingest through gRPC / raw {engine.driver}"
    return Row(name, value, ci, "", 0.3, "min", _ROUNDS, note)


@contextmanager
def _folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tonnage-bench-") as folder:
        yield f"{folder}/store"


@contextmanager
def _database(postgres: PrivatePostgres) -> Iterator[str]:
    name = f"b{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


class _Counted:
    """The least an observer can be."""

    def __init__(self) -> None:
        self.events = 0

    def stored(self, host: str, events: Sequence[model_pb2.Event], seconds: float) -> None:
        del host, seconds
        self.events += len(events)

    def prepared(self, host: str) -> None:
        del host

    def troubled(self, host: str, problem: Problem) -> None:
        raise RuntimeError(f"{host}: {problem}")

    def ended(self, host: str, state: RunState, problem: Problem | None) -> None:
        if state is not RunState.FINISHED:
            raise RuntimeError(f"{host}: {state}: {problem}")


async def _through_grpc(place: str, address: str, expected: int) -> float:
    """Seconds from handing over the plan to the last acknowledgement."""
    store = await open_store(place)
    fleet = Fleet()  # knows no host: the run's own address is dialled
    try:
        host = HostRun("r1", "h1", address, plan())
        await store.create_run(run(), [host])
        seen = _Counted()
        drive = Drive(host, Dialler(fleet), store, Patience(), seen)
        turn = asyncio.Event()
        turn.set()
        began = time.perf_counter()
        await drive.run(turn)
        seconds = time.perf_counter() - began
        (stored,) = await store.host_runs("r1")
        if not expected == stored.high_water == seen.events:
            raise RuntimeError(f"{stored.high_water} of {expected} events were stored")
        return seconds
    finally:
        await fleet.close()
        await store.close()


async def _raw(engine: _Engine, events: Sequence[model_pb2.Event]) -> float:
    """Seconds for the same rows, in the same tables, on the driver alone."""
    with engine.new_place() as place:
        store = await open_store(place)
        await store.create_run(run(), [host_run()])
        await store.close()
        return await engine.raw(place, Rows(1, events))


async def _executemany(place: str, rows: Rows) -> float:
    async with aiosqlite.connect(Path(place) / "tonnage.db", isolation_level=None) as connection:
        for pragma in PRAGMAS:
            await connection.execute(f"PRAGMA {pragma}")
        began = time.perf_counter()
        await connection.execute("BEGIN")
        await connection.executemany(INSERT_TRIAL, rows.trials)
        await connection.executemany(INSERT_END, rows.ends)
        await connection.executemany(INSERT_FACT, rows.facts)
        await connection.commit()
        return time.perf_counter() - began


async def _copy(place: str, rows: Rows) -> float:
    connection = await asyncpg.connect(place)
    try:
        began = time.perf_counter()
        async with connection.transaction():
            for table, values in (
                (schema.trial, rows.trials),
                (schema.trial_end, rows.ends),
                (schema.fact, rows.facts),
            ):
                await connection.copy_records_to_table(
                    table.name, records=values, columns=COLUMNS[table]
                )
        return time.perf_counter() - began
    finally:
        await connection.close()


@asynccontextmanager
async def _agent_process() -> AsyncIterator[str]:
    """An agent that streams the events, in a process of its own; its address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield await asyncio.to_thread(here.recv)
    finally:
        here.send(None)
        await asyncio.to_thread(process.join, 10)
        if process.is_alive():
            process.kill()


def _serve(pipe: Connection) -> None:
    asyncio.run(_serve_until_told(pipe))


async def _serve_until_told(pipe: Connection) -> None:
    agent = ScriptedAgent("h1", whole_run(_TRIALS))
    agent.batch = _BATCH
    async with agent:
        pipe.send(agent.address)
        await asyncio.to_thread(pipe.recv)
