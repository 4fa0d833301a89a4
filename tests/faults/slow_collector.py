"""A collector that stands still: whether the trials that fall into that time are any slower."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.rows import Row
from tests.faults.runs import ended, state_of, submit
from tests.faults.world import World, world

_PAUSE_SECONDS = 2.0
_RESAMPLES = 5000


@dataclass(frozen=True, slots=True)
class Starts:
    """Seconds from request to ready, while the collector stood still and while it worked."""

    still: tuple[float, ...]
    working: tuple[float, ...]


def _spec(runtime: str, trials: int) -> dict[str, object]:
    image = "fake:ok" if runtime == "fake" else "tonnage/idle:1"
    return {
        "name": "slow-collector",
        "targets": [{"runtime": runtime}],
        "workload": {
            "image": image,
            "readiness": {"log": "TONNAGE READY"},
            **({"environment": {"FAKE_READY_MS": "5"}} if runtime == "fake" else {}),
        },
        "startup": {"trials": trials, "warmup": 2},
    }


async def starts(folder: Path, runtime: str, trials: int) -> Starts:
    """One run during which the collector is held still every other two seconds."""
    still: list[tuple[int, int]] = []
    async with world(folder, ["h1"], runtimes=runtime) as made:
        run_id = await submit(made, _spec(runtime, trials), 1)
        while (state := await state_of(made, run_id)) is None or not state.ended:
            made.collector.pause()
            began = time.time_ns()
            await asyncio.sleep(_PAUSE_SECONDS)
            still.append((began, time.time_ns()))
            made.collector.resume()
            await asyncio.sleep(_PAUSE_SECONDS)
        await ended(made, run_id)
        return _split(_measured(made, run_id), still)


def _measured(made: World, run_id: str) -> list[tuple[int, int]]:
    """When each measured trial was requested, and how long it took, nanoseconds."""
    query = (
        "SELECT requested_at_unix_ns, ready_ns FROM trial JOIN host_run"
        " ON host_run.id = host_run_id"
        " WHERE run_id = ? AND population = 'measured' AND outcome = 'ready'"
    )
    with closing(sqlite3.connect(f"file:{made.store}?mode=ro", uri=True)) as store:
        return [(int(at), int(took)) for at, took in store.execute(query, (run_id,))]


def _split(trials: Sequence[tuple[int, int]], still: Sequence[tuple[int, int]]) -> Starts:
    """By whether the whole of a trial fell into a pause; those over an edge are left out."""
    inside, outside = [], []
    for at, took in trials:
        if any(began <= at and at + took <= end for began, end in still):
            inside.append(took / 1e9)
        elif not any(began <= at + took and at <= end for began, end in still):
            outside.append(took / 1e9)
    return Starts(tuple(inside), tuple(outside))


def row(runtime: str, found: Starts) -> Row:
    """The ratio of medians; both sides are resampled on their own."""
    draw = np.random.default_rng(20260101)
    still, working = np.array(found.still), np.array(found.working)
    medians = [
        np.median(draw.choice(side, (_RESAMPLES, len(side))), axis=1) for side in (still, working)
    ]
    low, high = np.quantile(medians[0] / medians[1], [0.025, 0.975])
    value = float(np.median(still) / np.median(working))
    return Row(
        f"{runtime} start p50, collector still / working",
        value,
        (float(low), float(high)),
        "×",
        1.03,
        "max",
        len(still),
        f"{len(working)} starts while it worked",
    )


async def measure(size: float = 1.0) -> Sequence[Row]:
    """300 real containers at full size."""
    with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
        found = await starts(Path(folder), "docker", max(int(300 * size), 40))
    return [row("docker", found)]
