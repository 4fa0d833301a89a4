"""Random kill -9s of agents, collector and engine in the middle of runs."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.rows import Row
from collector.client import Client
from collector.errors import Unreachable
from tests.faults.proof import Proof
from tests.faults.world import World, world
from tonnage.model import RunState

HOSTS = ("h1", "h2")
_STARTS, _CONCURRENCY, _COUNTS, _MOST = 240, 4, (2, 6), 12
_RUN_SECONDS = 120.0

# Each start takes its time, so that a kill finds some in flight; each instance is a
# file that outlives its agent, so that one left behind is seen.
SPEC = {
    "name": "kills",
    "targets": [{"runtime": "fake"}],
    "workload": {
        "image": "fake:ok",
        "readiness": {"log": "TONNAGE READY"},
        "environment": {"FAKE_DURABLE": "1", "FAKE_READY_MS": "12", "FAKE_JITTER_MS": "8"},
    },
    "startup": {"trials": _STARTS, "warmup": 0, "concurrency": [_CONCURRENCY]},
    "footprint": {"counts": list(_COUNTS), "repeats": 2, "settle": "20ms"},
    "density": {"step": 2, "max_instances": _MOST, "probes": 2, "settle": "20ms"},
}


@dataclass(slots=True)
class Toll:
    """What the kills came to."""

    kills: Counter[str] = field(default_factory=Counter)
    states: Counter[RunState] = field(default_factory=Counter)
    proofs: list[Proof] = field(default_factory=list)
    left: int = 0
    seconds: float = 0.0


async def kills(folder: Path, count: int, seed: int) -> Toll:
    """Make runs on two hosts, and kill until ``count`` kills were made; then prove each run."""
    toll, draw = Toll(), random.Random(seed)
    began = time.monotonic()
    async with world(folder, HOSTS) as made:
        while sum(toll.kills.values()) < count:
            run_id = await submit(made, SPEC, len(HOSTS))
            await _kill_during(made, run_id, toll, draw, count)
            state = await ended(made, run_id)
            toll.states[state] += 1
            toll.proofs += [made.prove(run_id, host, _STARTS) for host in HOSTS]
        toll.left = len(made.fakes())
    toll.seconds = time.monotonic() - began
    return toll


async def submit(made: World, spec: object, hosts: int) -> str:
    """Submit once so many hosts are there; the run's id."""
    async with asyncio.timeout(_RUN_SECONDS), made.client() as client:
        while True:
            try:
                if sum(host.healthy for host in await client.hosts()) == hosts:
                    return await client.submit(json.dumps(spec))
            except Unreachable:
                pass
            await asyncio.sleep(0.1)


async def _kill_during(
    made: World, run_id: str, toll: Toll, draw: random.Random, count: int
) -> None:
    """Kill one or two programs at random moments and start them again, while the run goes on."""
    while sum(toll.kills.values()) < count:
        await asyncio.sleep(draw.uniform(0.1, 1.2))
        state = await state_of(made, run_id)
        if state is not None and state.ended:
            return
        victims = draw.sample(sorted(made.programs), draw.choice((1, 1, 1, 2)))
        for name in victims:
            await made.programs[name].kill()
            toll.kills["agent" if name in HOSTS else name] += 1
        await asyncio.sleep(draw.uniform(0.0, 0.3))
        for name in sorted(victims):  # the collector, if it is one, comes first: an agent names it
            await made.programs[name].start()


async def state_of(made: World, run_id: str) -> RunState | None:
    """Where the run stands; ``None`` while the collector does not say."""
    async with made.client() as client:
        try:
            return next((run.state for run in await client.runs() if run.run_id == run_id), None)
        except Unreachable:
            return None


async def ended(made: World, run_id: str, seconds: float = _RUN_SECONDS) -> RunState:
    """Wait for the run's end; how it ended."""
    async with asyncio.timeout(seconds), made.client() as client:
        return await last_state(client, run_id)


async def last_state(client: Client, run_id: str) -> RunState:
    """The state in the last of a run's updates."""
    state = RunState.PENDING
    async for progress in client.watch(run_id):
        state = progress.state
    return state


def rows(toll: Toll, what: str) -> list[Row]:
    """Each must be zero."""
    kills = sum(toll.kills.values())
    by_kind = ", ".join(f"{count} {name}" for name, count in sorted(toll.kills.items()))
    states = ", ".join(f"{count} {state}" for state, count in sorted(toll.states.items()))
    note = f"kill -9: {by_kind}; runs: {states}; {sum(p.trials for p in toll.proofs)} trials"
    found = {
        "events lost": sum(proof.lost for proof in toll.proofs),
        "rows doubled": sum(proof.doubled for proof in toll.proofs),
        "finished trials repeated": sum(proof.repeated for proof in toll.proofs),
        "planned starts without an outcome": sum(proof.unmade for proof in toll.proofs),
        "runs that did not finish": sum(
            count for state, count in toll.states.items() if state is not RunState.FINISHED
        ),
        "instances left": toll.left,
    }
    return [zero(f"{what}: {name}", value, kills, note) for name, value in found.items()]


def zero(name: str, value: float, n: int, note: str = "") -> Row:
    """A count that must be zero; it has no spread."""
    return Row(name, value, (value, value), "", 0, "max", n, note)


async def measure(size: float = 1.0) -> Sequence[Row]:
    """200 kills at full size."""
    with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
        toll = await kills(Path(folder), max(int(200 * size), 1), seed=20260101)
    return rows(toll, "fake runtime")
