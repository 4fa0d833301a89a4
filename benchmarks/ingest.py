"""What the collector makes of the store's speed: trial events off the wire into SQLite.

The candidate is a whole collector's ingest: a real ``grpc.aio`` agent in a
process of its own streams events, a ``Drive`` stores and acknowledges them, each
batch after its commit. The baseline is ``executemany`` of the very same rows on
the raw driver, with the same pragmas and tables, prepared beforehand, in one
transaction. The two alternate.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import aiosqlite

from benchmarks.rows import Row, paired_ratio
from collector.conductor.dialling import Dialler
from collector.conductor.drive import Drive
from collector.conductor.patience import Patience
from collector.fleet import Fleet
from collector.model import HostRun
from collector.stores.open import open_store
from collector.stores.sql.ingest import Rows
from collector.stores.sqlite.appends import INSERT_END, INSERT_FACT, INSERT_TRIAL
from collector.stores.sqlite.store import PRAGMAS
from tests.integration.scripted_agent import ScriptedAgent
from tests.runs_made_up import host_run, plan, run, whole_run
from tonnage.model import Problem, RunState
from tonnage.v1 import model_pb2

_TRIALS = 30_000
_BATCH = 500
_ROUNDS = 8


async def measure() -> list[Row]:
    """One row: events a second against the raw driver's, and what that is."""
    events = whole_run(_TRIALS)
    ours, raw = [], []
    async with _agent_process() as address:
        for number in range(_ROUNDS + 1):
            with tempfile.TemporaryDirectory(prefix="tonnage-bench-") as folder:
                pair = (
                    await _through_grpc(Path(folder), address, len(events)),
                    await _raw(Path(folder), events),
                )
            if number:  # the first pair warms both up
                ours.append(len(events) / pair[0])
                raw.append(len(events) / pair[1])
    value, ci = paired_ratio(ours, raw)
    middle = len(ours) // 2
    note = (
        f"{sorted(ours)[middle]:,.0f} events/s acknowledged after a synced commit;"
        f" raw executemany {sorted(raw)[middle]:,.0f} rows/s"
    )
    return [Row("ingest through gRPC / raw executemany", value, ci, "", 0.3, "min", _ROUNDS, note)]


class _Counted:
    """The least an observer can be."""

    def __init__(self) -> None:
        self.events = 0

    def stored(self, host: str, events: Sequence[model_pb2.Event], seconds: float) -> None:
        del host, seconds
        self.events += len(events)

    def troubled(self, host: str, problem: Problem) -> None:
        raise RuntimeError(f"{host}: {problem}")

    def ended(self, host: str, state: RunState, problem: Problem | None) -> None:
        if state is not RunState.FINISHED:
            raise RuntimeError(f"{host}: {state}: {problem}")


async def _through_grpc(folder: Path, address: str, expected: int) -> float:
    """Seconds from handing over the plan to the last acknowledgement."""
    store = await open_store(str(folder / "store"))
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


async def _raw(folder: Path, events: Sequence[model_pb2.Event]) -> float:
    """Seconds for the same rows, in the same tables, on the driver alone."""
    store = await open_store(str(folder / "raw"))
    await store.create_run(run(), [host_run()])
    await store.close()
    rows = Rows(1, events)
    path = folder / "raw" / "tonnage.db"
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        for pragma in PRAGMAS:
            await connection.execute(f"PRAGMA {pragma}")
        began = time.perf_counter()
        await connection.execute("BEGIN")
        await connection.executemany(INSERT_TRIAL, rows.trials)
        await connection.executemany(INSERT_END, rows.ends)
        await connection.executemany(INSERT_FACT, rows.facts)
        await connection.commit()
        return time.perf_counter() - began


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
