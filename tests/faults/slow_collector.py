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
_TARGET = 1.03
# Of 145 starts in standstills and as many besides, the interval reaches 5 % to either side. Where
# there is no difference, its upper end is above this once in fifty times.
_RULED_OUT = 1.10


@dataclass(frozen=True, slots=True)
class Starts:
    """Seconds from request to ready, while the collector stood still and while it worked;
    ``left_out``: how many starts were neither."""

    still: tuple[float, ...]
    working: tuple[float, ...]
    left_out: int = 0


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
    left_out = len(trials) - len(inside) - len(outside)
    return Starts(tuple(inside), tuple(outside), left_out)


def rows(runtime: str, found: Starts, *, enough: bool = True) -> list[Row]:
    """The ratio of medians, both sides resampled on their own; and, where there are
    ``enough`` starts to tell, whether more than the allowed ratio is ruled out."""
    if not (found.still and found.working):
        none = f"{runtime} starts while the collector stood still, or while it worked"
        return [Row(none, 0, (0, 0), "", 1, "min", 0)]
    value, (low, high) = _ratio(found)
    name = f"{runtime} start p50, collector still / working"
    note = f"{len(found.working)} starts while it worked, {found.left_out} over an edge left out"
    ratio = Row(name, value, (low, high), "×", _TARGET, "max", len(found.still), note)
    if not enough:
        return [ratio]
    told = "inconclusive: more starts or a quieter machine are needed" if ratio.ok else "slower"
    note = "" if high <= _RULED_OUT else told
    most = (high, high)
    return [ratio, Row(f"{name}, at most", high, most, "×", _RULED_OUT, "max", ratio.n, note)]


def _ratio(found: Starts) -> tuple[float, tuple[float, float]]:
    """With its percentile bootstrap interval."""
    draw = np.random.default_rng(20260101)
    still, working = np.array(found.still), np.array(found.working)
    medians = [
        np.median(draw.choice(side, (_RESAMPLES, len(side))), axis=1) for side in (still, working)
    ]
    low, high = np.quantile(medians[0] / medians[1], [0.025, 0.975])
    return float(np.median(still) / np.median(working)), (float(low), float(high))


async def measure(size: float = 1.0) -> Sequence[Row]:
    """300 real containers at full size; a part of them is not enough to rule anything out."""
    with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
        found = await starts(Path(folder), "docker", max(int(300 * size), 40))
    return rows("docker", found, enough=size == 1)
