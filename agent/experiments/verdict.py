"""What a density step proves: whether every demand holds, and which broke first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tonnage.model import DensityStage, Outcome, Sample, StopReason, Trial

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Breach:
    """A demand that does not hold: the typed reason, and the value against its limit."""

    reason: StopReason
    constraint: str


def judge(
    stage: DensityStage, empty: Sample, sample: Sample, probes: Sequence[Trial]
) -> Breach | None:
    """The first demand a step breaks; ``None`` when all hold.

    In this order: all instances alive, all answering, all probes ready, their
    p95, pressure, memory headroom, memory budget. A demand whose figure could
    not be measured does not hold: missing data passes no gate.
    """
    return next(_breaches(stage, empty, sample, probes), None)


def _breaches(
    stage: DensityStage, empty: Sample, sample: Sample, probes: Sequence[Trial]
) -> Iterator[Breach]:
    yield from _lost(sample)
    yield from _probes(stage, probes)
    yield from _pressure(stage, sample)
    yield from _memory(stage, empty, sample)


def _lost(sample: Sample) -> Iterator[Breach]:
    for count, what in ((sample.alive, "are alive"), (sample.answering, "answer")):
        if count < sample.instances:
            text = f"{count} of {sample.instances} instances {what}"
            yield Breach(StopReason.INSTANCES_DIED, text)


def _probes(stage: DensityStage, probes: Sequence[Trial]) -> Iterator[Breach]:
    limit = stage.slo.ready_p95_seconds
    for trial in probes:
        if trial.outcome is Outcome.TIMED_OUT and limit is not None:
            text = f"probe start over {stage.ready_timeout_seconds:g} s > ready_p95 {limit:g} s"
            yield Breach(StopReason.SLO_READY, text)
        elif trial.outcome is not Outcome.READY:
            text = f"probe {trial.trial_id} did not become ready: {trial.error or trial.outcome}"
            yield Breach(StopReason.LAUNCH_FAILED, text)
    if limit is not None:
        p95 = quantile(start_seconds(probes), 0.95)
        yield from _above(StopReason.SLO_READY, "probe start p95", p95, limit, "s")


def _pressure(stage: DensityStage, sample: Sample) -> Iterator[Breach]:
    asked = (
        ("PSI cpu some avg10", sample.cpu_some_avg10, stage.slo.cpu_some_avg10),
        ("PSI memory some avg10", sample.memory_some_avg10, stage.slo.memory_some_avg10),
        ("PSI io some avg10", sample.io_some_avg10, stage.slo.io_some_avg10),
    )
    for name, value, limit in asked:
        if limit is not None:
            yield from _above(StopReason.SLO_PRESSURE, name, value, limit, "%")


def _above(
    reason: StopReason, name: str, value: float | None, limit: float, unit: str
) -> Iterator[Breach]:
    if value is None:
        yield Breach(reason, f"{name} could not be measured against its limit {limit:g} {unit}")
    elif value > limit:
        yield Breach(reason, f"{name} {value:.3g} {unit} > {limit:g} {unit}")


def _memory(stage: DensityStage, empty: Sample, sample: Sample) -> Iterator[Breach]:
    available, floor = sample.mem_available_bytes, stage.slo.mem_available_bytes
    if floor is not None and (available is None or available < floor):
        text = f"MemAvailable {mebibytes(available)} < {mebibytes(floor)}"
        yield Breach(StopReason.MEMORY_HEADROOM, text)
    budget, used = stage.memory_budget_bytes, used_bytes(empty, sample)
    if budget is not None and (used is None or used > budget):
        text = f"memory used {mebibytes(used)} > budget {mebibytes(budget)}"
        yield Breach(StopReason.MEMORY_BUDGET, text)


def used_bytes(empty: Sample, sample: Sample) -> int | None:
    """The fall of MemAvailable since the empty host; negative if it rose."""
    if empty.mem_available_bytes is None or sample.mem_available_bytes is None:
        return None
    return empty.mem_available_bytes - sample.mem_available_bytes


def start_seconds(trials: Sequence[Trial]) -> list[float]:
    """Request to ready of those that became ready."""
    return [trial.ready_ns / 1e9 for trial in trials if trial.ready_ns is not None]


def quantile(values: Sequence[float], q: float) -> float | None:
    """Linear interpolation between order statistics (Hyndman & Fan type 7)."""
    if not values:
        return None
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def mebibytes(count: int | None) -> str:
    """A number of bytes for people."""
    return "unknown" if count is None else f"{count / MIB:.1f} MiB"
