"""An agent killed in the middle of a run of each runtime of this machine, many launches each."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, zero
from tests.faults.runs import ended, state_of, submit
from tests.faults.survivors import records, traces
from tests.faults.world import World, world
from tests.proof import Proof
from tonnage.model import RunState

_HOST = "h1"
_ENGINES = ("DOCKER_HOST", "CONTAINER_HOST")  # those with Docker's API
_RUN_SECONDS = 600.0
_TIDY_SECONDS = 30.0
_BUILD = Path(__file__).parents[2] / "build"
_FILES = ("--guest-dir", str(_BUILD / "guest"), "--images-dir", str(_BUILD / "images"))


@dataclass(frozen=True, slots=True)
class Kind:
    """A runtime: how many starts its run measures, how many instances live at once in the
    series after them, and what else its target says."""

    name: str
    starts: int
    counts: tuple[int, int]
    target: tuple[tuple[str, Any], ...] = ()

    @property
    def launches(self) -> int:
        """How many instances its run launches, where nothing is cut off."""
        return self.starts + self.counts[-1]


_LEAST = (("memory", "128MiB"),)
FAST = [Kind(name, 88, (6, 12)) for name in ("runc", "containerd", "docker", "podman")]
SLOW = [
    Kind("docker-runsc", 24, (3, 6)),
    Kind("qemu-microvm", 24, (3, 6), _LEAST),
    Kind("qemu-full", 26, (2, 4), (("memory", "256MiB"),)),
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended in whose middle its agent was killed. ``left``: processes, mounts,
    cgroups, engines' records and the agent's folders of instances once it has ended, above
    what there was of others before it."""

    kind: Kind
    killed_in_the_middle: bool
    state: RunState
    proof: Proof
    left: int


def spec(kind: Kind) -> dict[str, Any]:
    """Starts two at a time, then a series of living instances."""
    return {
        "name": f"kills-{kind.name}",
        "targets": [{"runtime": kind.name, **dict(kind.target)}],
        "workload": {
            "image": "tonnage/idle:1",
            "readiness": {"log": "TONNAGE READY"},
            "health": {"console": {"ask": "ping", "answer": "pong"}},
        },
        "startup": {"trials": kind.starts, "warmup": 0, "concurrency": [2]},
        "footprint": {"counts": list(kind.counts), "settle": "100ms", "concurrency": 2},
    }


async def kill_in_the_middle(folder: Path, kind: Kind) -> Outcome:
    """One run; its agent is killed at a third of its starts, and again among living instances."""
    others = _seen(folder)
    async with world(folder, [_HOST], runtimes=kind.name, agent_flags=_FILES) as made:
        run_id = await submit(made, spec(kind), 1)
        killed = await _killed(made, run_id, kind.starts // 3)
        killed &= await _killed(made, run_id, kind.starts + kind.counts[0])
        state = await ended(made, run_id, _RUN_SECONDS)
        left = await _left(folder, others)
        proof = made.prove(run_id, _HOST, kind.starts)
    return Outcome(kind, killed, state, proof, left)


async def _killed(made: World, run_id: str, trials: int) -> bool:
    """Kill the agent once so many trials are stored, and start it again; whether the run was
    still going on."""
    async with asyncio.timeout(_RUN_SECONDS), made.client() as client:
        async for progress in client.watch(run_id):
            done = sum(host.ready + host.failed for host in progress.hosts)
            if done >= trials or progress.state.ended:
                break
    agent = made.agents[_HOST]
    await agent.kill()
    state = await state_of(made, run_id)
    await agent.start()
    return state is not None and not state.ended


async def _left(folder: Path, others: int) -> int:
    try:
        async with asyncio.timeout(_TIDY_SECONDS):
            while _seen(folder) > others:  # noqa: ASYNC110 - the host itself is looked at
                await asyncio.sleep(0.2)
    except TimeoutError:
        pass
    return _seen(folder) - others


def _seen(folder: Path) -> int:
    """All that there is of instances: on the host, at its engines, in the agent's folder."""
    engines = [os.environ[name] for name in _ENGINES if name in os.environ]
    folders = (folder / _HOST / "runtimes").glob("*/instances/*/*")
    return traces() + records(engines) + sum(1 for _ in folders)


def rows(found: Outcome) -> list[Row]:
    """Each must be zero."""
    kind, proof = found.kind, found.proof
    note = f"killed twice; run {found.state}; {proof.trials} trials, {proof.ready} ready"
    wrong = {
        "events lost, rows doubled, trials repeated": proof.lost + proof.doubled + proof.repeated,
        "planned starts without an outcome": proof.unmade,
        "not killed in the middle, or not finished": not found.killed_in_the_middle
        or found.state is not RunState.FINISHED,
        "launches that never became ready": max(kind.launches - proof.ready, 0),
        "processes, mounts, cgroups, records and folders left": found.left,
    }
    what = f"{kind.name}, {kind.launches} launches"
    return [zero(f"{what}: {name}", value, kind.launches, note) for name, value in wrong.items()]


async def measure(size: float = 1.0) -> Sequence[Row]:
    """Every runtime: 100 launches of each fast one and 30 of each slow one at full size."""
    found: list[Row] = []
    for kind in (*FAST, *SLOW):
        starts = max(int(kind.starts * size), 6)
        scaled = Kind(kind.name, starts, kind.counts, kind.target)
        folder = Path(tempfile.mkdtemp(prefix="tonnage-faults-"))
        try:
            found += rows(await kill_in_the_middle(folder, scaled))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return found
