"""A thousand agents on one collector: what a host costs it, and how soon a run is everywhere."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.rows import Row, zero
from collector.client import Client
from deploy.programs import Program, module
from tests.faults.runs import last_state, submit
from tests.faults.world import World, world
from tonnage.model import RunState

_AGENTS = 1000
_PROCESSES = 4
_TRIALS = 5
_WATCHED_SECONDS = 20.0
_REGISTERED_SECONDS = 180.0

SPEC = {
    "name": "swarm",
    "hosts": {"labels": {}, "barrier": "60s"},
    "targets": [{"runtime": "fake"}],
    "workload": {"image": "fake:ok", "readiness": {"log": "TONNAGE READY"}},
    "startup": {"trials": _TRIALS, "warmup": 0},
}


@dataclass(frozen=True, slots=True)
class Swarm:
    """Figures of a collector with many agents.

    ``registered_seconds``: from the last agent's start until all were healthy.
    ``cpu_share``: of one core, for the collector, while agents only renew their leases.
    ``memory_bytes``: the collector's resident memory with all of them, less that without.
    ``fan_out_seconds``: from the submission until the last host had begun the run.
    ``missing``: trials that were planned and are not in the store.
    """

    agents: int
    registered_seconds: float
    cpu_share: float
    memory_bytes: int
    fan_out_seconds: float
    whole_seconds: float
    state: RunState
    missing: int


async def swarm(folder: Path, count: int, watched_seconds: float) -> Swarm:
    """Start so many agents, watch the collector at rest, and run one experiment on all."""
    async with world(folder, (), lease="15") as made:
        collector = psutil.Process(made.collector.pid)
        before = collector.memory_info().rss
        async with _agents(made, count), made.client() as client:
            began = time.monotonic()
            await _all_healthy(client, count)
            registered = time.monotonic() - began
            cpu = await _cpu_share(collector, watched_seconds)
            memory = collector.memory_info().rss - before
            submitted = time.time_ns()
            run_id = await submit(made, SPEC, count)
            state = await last_state(client, run_id)
            whole = (time.time_ns() - submitted) / 1e9
        begun, trials = _stored(made.store, run_id)
    fan_out = (begun - submitted) / 1e9
    missing = count * _TRIALS - trials
    return Swarm(count, registered, cpu, memory, fan_out, whole, state, missing)


@asynccontextmanager
async def _agents(made: World, count: int) -> AsyncIterator[None]:
    """The agents, spread over some processes."""
    shares = [range(count)[part::_PROCESSES] for part in range(min(_PROCESSES, count))]
    firsts = [sum(len(share) for share in shares[:number]) for number in range(len(shares))]
    processes = [
        _process(made, f"agents-{first}", first, len(share))
        for first, share in zip(firsts, shares, strict=True)
    ]
    try:
        await asyncio.gather(*(process.start() for process in processes))
        yield
        await asyncio.gather(*(process.stop() for process in processes))
    finally:
        for process in processes:
            await process.kill()


def _process(made: World, name: str, first: int, count: int) -> Program:
    where = made.collector.where["listening"]
    arguments = (str(first), str(count), where, str(made.folder))
    log = made.folder / f"{name}.log"
    return Program(name, module("tests.faults.many_agents"), lambda: arguments, log)


async def _all_healthy(client: Client, count: int) -> None:
    async with asyncio.timeout(_REGISTERED_SECONDS):
        while sum(host.healthy for host in await client.hosts()) < count:  # noqa: ASYNC110 - another process is looked at
            await asyncio.sleep(0.2)


async def _cpu_share(process: psutil.Process, seconds: float) -> float:
    """The share of one core that a process takes."""
    before, began = process.cpu_times(), time.monotonic()
    await asyncio.sleep(seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return round(used / (time.monotonic() - began), 6)


def _stored(database: Path, run_id: str) -> tuple[int, int]:
    """When the last host began the run, nanoseconds since the epoch, and all trials."""
    begun = (
        "SELECT MAX(recorded_at_unix_ns) FROM fact JOIN host_run ON host_run.id = host_run_id"
        " WHERE run_id = ? AND kind = 'run_released'"
    )
    trials = (
        "SELECT COUNT(*) FROM trial JOIN host_run ON host_run.id = host_run_id WHERE run_id = ?"
    )
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        found = [store.execute(query, (run_id,)).fetchone()[0] for query in (begun, trials)]
    if found[0] is None:
        raise RuntimeError("no host told when it began")
    return int(found[0]), int(found[1])


def rows(found: Swarm) -> list[Row]:
    """What a host costs the collector, and whether one run reaches all of them."""
    what, n = f"{found.agents} agents on one collector", found.agents
    told = json.dumps({"registered_seconds": round(found.registered_seconds, 1)})
    cpu, memory = found.cpu_share / n * 100, found.memory_bytes / n / 1e3
    whole = f"all of it in {found.whole_seconds:.1f} s, run {found.state}"
    return [
        Row(f"{what}: CPU a host at rest", cpu, (cpu, cpu), "% of a core", 0.05, "max", n, told),
        Row(f"{what}: memory a host", memory, (memory, memory), "kB", 200, "max", n),
        Row(f"{what}: fan-out of one run", *_once(found.fan_out_seconds), "s", 10, "max", n, whole),
        zero(f"{what}: trials missing", abs(found.missing), n * _TRIALS),
        zero(f"{what}: run not finished", found.state is not RunState.FINISHED, 1),
    ]


def _once(value: float) -> tuple[float, tuple[float, float]]:
    """A figure that was measured once has no interval of its own."""
    return value, (value, value)


async def measure(size: float = 1.0) -> Sequence[Row]:
    """A thousand agents at full size."""
    with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
        count = max(int(_AGENTS * size), 2)
        return rows(await swarm(Path(folder), count, max(_WATCHED_SECONDS * size, 2.0)))
