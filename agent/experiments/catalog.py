"""From a stage of a plan to the machine that carries it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.errors import InvalidInput
from agent.experiments.base import Experiment
from agent.experiments.churn import Churn
from agent.experiments.density import Density
from agent.experiments.footprint import Footprint
from agent.experiments.isolation import Isolation
from agent.experiments.memory_floor import MEBIBYTE, MemoryFloorSearch
from agent.experiments.startup import Startup
from tonnage.model import (
    ChurnStage,
    DensityStage,
    FootprintStage,
    IsolationStage,
    MemoryFloorStage,
    Mode,
    Stage,
    StartupStage,
    Target,
)


def open_experiment(
    stage: Stage, targets: Mapping[str, Target], seed: int, guard_floor_bytes: int = 0
) -> Experiment:
    """Return the machine for a stage, at its beginning.

    ``guard_floor_bytes``: the MemAvailable at which the agent's own guard stops
    a run, for the density forecast. Raises ``InvalidInput`` for a stage that
    names an unknown target or asks for what makes no sense.
    """
    work = stage.experiment
    match work:
        case StartupStage():
            _known(stage, (trials.target_id for trials in work.targets), targets)
            _distinct(stage, work)
            for level in work.concurrency:
                _at_least_one(stage, "concurrency", level)
            _one_at_a_time(stage, work, targets)
            return Startup(stage.id, work, seed)
        case DensityStage():
            _known(stage, [work.target_id], targets)
            _not_cold(stage, targets[work.target_id])
            _at_least_one(stage, "step", work.step)
            _at_least_one(stage, "max_instances", work.max_instances)
            _at_least_one(stage, "resolution", work.resolution)
            _at_least_one(stage, "concurrency", work.concurrency)
            _one_under_a_limit(stage, work)
            return Density(stage.id, work, guard_floor_bytes)
        case FootprintStage():
            _known(stage, [work.target_id], targets)
            _not_cold(stage, targets[work.target_id])
            _at_least_one(stage, "repeats", work.repeats)
            _at_least_one(stage, "concurrency", work.concurrency)
            return Footprint(stage.id, work)
        case IsolationStage():
            _known(stage, [work.target_id], targets)
            _not_cold(stage, targets[work.target_id])
            _at_least_one(stage, "instances", work.instances)
            return Isolation(stage.id, work, seed)
        case ChurnStage():
            _known(stage, [work.target_id], targets)
            _not_cold(stage, targets[work.target_id])
            for field in ("instances", "concurrency", "max_in_flight"):
                _at_least_one(stage, field, getattr(work, field))
            for field in ("rate_per_second", "duration_seconds"):
                _above_zero(stage, field, getattr(work, field))
            return Churn(stage.id, work)
        case MemoryFloorStage():
            _known(stage, [work.target_id], targets)
            _not_cold(stage, targets[work.target_id])
            _at_least_one(stage, "launches", work.launches)
            _at_least_one(stage, "low_bytes", work.low_bytes // MEBIBYTE)
            _at_least_one(stage, "high_bytes", (work.high_bytes - work.low_bytes) // MEBIBYTE)
            return MemoryFloorSearch(stage.id, work)


def _known(stage: Stage, named: Iterable[str], targets: Mapping[str, Target]) -> None:
    for target_id in named:
        if target_id not in targets:
            known = ", ".join(sorted(targets)) or "none"
            raise InvalidInput(
                "the plan has no such target",
                field=f"stages.{stage.id}.target_id",
                value=target_id,
                remedy=f"Its targets are: {known}.",
            )


def _distinct(stage: Stage, work: StartupStage) -> None:
    """Trial ids are made of target and level: either twice would make one id twice."""
    for field, values in (
        ("targets", [trials.target_id for trials in work.targets]),
        ("concurrency", [*work.concurrency]),
    ):
        if len(set(values)) < len(values):
            raise InvalidInput(
                "each may be named once", field=f"stages.{stage.id}.{field}", value=str(values)
            )


def _one_at_a_time(stage: Stage, work: StartupStage, targets: Mapping[str, Target]) -> None:
    """A start in flight reads what a cold one beside it evicts: neither would be what it says."""
    cold = [t.target_id for t in work.targets if targets[t.target_id].mode is Mode.COLD]
    if cold and max(work.concurrency, default=1) > 1:
        raise InvalidInput(
            f"{cold[0]} is cold, and cold starts are made one at a time",
            field=f"stages.{stage.id}.concurrency",
            value=str(max(work.concurrency)),
            remedy="Ask for concurrency 1, or leave mode cold out.",
        )


def _one_under_a_limit(stage: Stage, work: DensityStage) -> None:
    """Starts side by side hold their peaks at once: how many would fit were chance."""
    if work.memory_limit_bytes is not None and work.concurrency > 1:
        raise InvalidInput(
            "under a hard memory limit instances are launched one after another",
            field=f"stages.{stage.id}.concurrency",
            value=str(work.concurrency),
            remedy="Ask for concurrency 1, or leave memory_limit out.",
        )


def _not_cold(stage: Stage, target: Target) -> None:
    """Instances that live hold what they read in the page cache: none beside them is cold."""
    if target.mode is Mode.COLD:
        raise InvalidInput(
            "mode cold is for start-up alone: instances that live keep their files cached",
            field=f"stages.{stage.id}.target_id",
            value=target.id,
            remedy="Give the stage a target of another mode.",
        )


def _at_least_one(stage: Stage, field: str, value: int) -> None:
    if value < 1:
        raise InvalidInput(
            "must be at least 1", field=f"stages.{stage.id}.{field}", value=str(value)
        )


def _above_zero(stage: Stage, field: str, value: float) -> None:
    if not value > 0:
        raise InvalidInput(
            "must be above 0", field=f"stages.{stage.id}.{field}", value=f"{value:g}"
        )
