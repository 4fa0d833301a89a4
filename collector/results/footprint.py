"""Footprint rows: what one more instance costs, by each estimator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from collector.model import RunData
from collector.reports.model import FootprintRow
from collector.results.subjects import Key, Subjects, stages
from collector.stats.slope import Slope, slope
from tonnage.model import FootprintPoint, FootprintStage, Sample

Estimator = Literal[
    "mem_available", "pss", "cgroup", "vmm_overhead", "engine", "disk_base", "disk_marginal"
]


def fall_of_mem_available(sample: Sample) -> int | None:
    """Available memory, negated: it falls as an instance takes some."""
    available = sample.mem_available_bytes
    return None if available is None else -available


READINGS: dict[Estimator, Callable[[Sample], int | None]] = {
    "mem_available": fall_of_mem_available,
    "pss": lambda sample: sample.pss_bytes,
    "cgroup": lambda sample: sample.cgroup_bytes,
    "vmm_overhead": lambda sample: sample.vmm_overhead_bytes,
    "engine": lambda sample: sample.engine_bytes,
    "disk_base": lambda sample: sample.disk_base_bytes,
    "disk_marginal": lambda sample: sample.disk_marginal_bytes,
}
EVERY_RUNTIME_HAS: frozenset[Estimator] = frozenset({"mem_available", "pss", "cgroup"})

COUNTS_WITHOUT_EMPTY_HOST = 3


@dataclass(frozen=True, slots=True)
class Footprint:
    """One estimator of one subject."""

    key: Key
    estimator: Estimator
    cost: Slope
    refilled: int = 0


def footprints(data: RunData, subjects: Subjects) -> list[Footprint]:
    """Every estimator of every footprint stage, in the plan's order.

    An estimator that only some runtimes have is left out where nothing was read.
    """
    return [footprint for each in series(data, subjects) for footprint in _of_series(each)]


@dataclass(frozen=True, slots=True)
class Series:
    """One footprint stage on one host, with the points at which all were alive."""

    key: Key
    points: Sequence[FootprintPoint]
    refilled: int


def series(data: RunData, subjects: Subjects) -> Iterator[Series]:
    """Every footprint stage, in the plan's order."""
    points: dict[tuple[str, str], list[FootprintPoint]] = {}
    for row in data.facts:
        if isinstance(row.fact, FootprintPoint) and _whole(row.fact):
            points.setdefault((row.host, row.fact.stage_id), []).append(row.fact)
    for host, stage_id, experiment in stages(data, FootprintStage):
        key = subjects.key(host, experiment.target_id)
        again = subjects.refilled(host, stage_id)
        yield Series(key, points.get((host, stage_id), []), again)


def _whole(point: FootprintPoint) -> bool:
    """Whether all instances live: what the dead still hold would be laid to the living."""
    return point.sample.alive == point.sample.instances


def _of_series(of: Series) -> Iterable[Footprint]:
    for estimator, read in READINGS.items():
        readings = [
            (point, value) for point in of.points if (value := read(point.sample)) is not None
        ]
        if of.points and not readings and estimator in EVERY_RUNTIME_HAS:
            yield Footprint(of.key, estimator, _never_read(len(of.points)), of.refilled)
        elif readings or estimator in EVERY_RUNTIME_HAS:
            fit = _once if estimator == "disk_base" else per_instance
            yield Footprint(of.key, estimator, fit(readings), of.refilled)


def _never_read(points: int) -> Slope:
    return Slope(None, None, 0, None, 0, f"it could not be read at any of {points} points")


def per_instance(readings: Sequence[tuple[FootprintPoint, int]]) -> Slope:
    """The slope over the instances alive.

    What the first instance brings once (shared libraries, an engine's first
    allocations) is not the cost of a further one, so the empty host is left
    out as soon as the line has three other counts.
    """
    counts = {point.sample.alive for point, _ in readings} - {0}
    if len(counts) >= COUNTS_WITHOUT_EMPTY_HOST:
        readings = [(point, value) for point, value in readings if point.sample.alive]
    return slope(
        [point.sample.alive for point, _ in readings],
        [value for _, value in readings],
        [point.repeat for point, _ in readings],
    )


def _once(readings: Sequence[tuple[FootprintPoint, int]]) -> Slope:
    """A count of blocks that is there once: exact where all readings agree."""
    values = sorted(value for _, value in readings)
    value = float(values[len(values) // 2])
    if values[0] == values[-1]:
        return Slope(value, 0.0, len(values), (value, value), len(values))
    return Slope(value, None, 0, None, len(values), "the readings differ")


def footprint_row(footprint: Footprint, subjects: Subjects) -> FootprintRow:
    """The row of one estimator."""
    cost = footprint.cost
    return FootprintRow(
        **dict(subjects.subject(footprint.key)),
        estimator=footprint.estimator,
        bytes_per_instance=cost.value,
        ci_bytes=cost.interval,
        n_points=cost.n_points,
        reason=cost.reason,
        refilled=footprint.refilled,
    )
