"""The limit of a density ramp as its first steps foretell it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.experiments.bracket import last_level_held
from agent.experiments.confined import foresee_limit
from agent.experiments.curve import meet
from agent.experiments.forecast import Crossing, NoForecast
from tonnage.model import DensityStage, Forecast, Sample, StopReason


def foresee(
    stage_id: str, stage: DensityStage, samples: Sequence[Sample], guard_floor_bytes: int
) -> Forecast | NoForecast:
    """Forecast the ramp's limit: under a hard limit from the charge of its group, and from
    the host's memory too if that ends it earlier; else from the host's memory alone."""
    if stage.memory_limit_bytes is None:
        return _foresee_host(stage_id, stage, samples, guard_floor_bytes)
    own = foresee_limit(stage_id, stage, samples)
    hosts = _foresee_host(stage_id, stage, samples, guard_floor_bytes)
    if isinstance(own, NoForecast) or isinstance(hosts, NoForecast):
        return own
    return min(own, hosts, key=lambda forecast: forecast.limit_instances)


def _foresee_host(
    stage_id: str, stage: DensityStage, samples: Sequence[Sample], guard_floor_bytes: int
) -> Forecast | NoForecast:
    """Forecast the limit from the fall of MemAvailable over the steps so far.

    Of the memory constraints the one met first counts; behind it stands
    ``max_instances``. Crossing and interval are brought down to the level at which
    the ramp would end there: the forecast is of the very number it will report.
    An interval without an upper end reaches to ``max_instances``. The level measured last has held,
    so nothing below it is foreseen. Time and pressure are not foreseen.
    """
    points = [
        (float(sample.instances), float(sample.mem_available_bytes))
        for sample in samples
        if sample.mem_available_bytes is not None
    ]
    level, reason = max(_levels(stage, samples[0].mem_available_bytes, guard_floor_bytes))
    crossing = meet(points, level)
    if isinstance(crossing, NoForecast):
        return crossing
    return _forecast(stage_id, stage, samples[-1].instances, crossing, reason)


def _levels(
    stage: DensityStage, empty_bytes: int | None, guard_floor_bytes: int
) -> Iterator[tuple[float, StopReason]]:
    """What MemAvailable may fall to. The highest is met first."""
    floor = max(stage.slo.mem_available_bytes or 0, guard_floor_bytes)
    yield float(floor), StopReason.MEMORY_HEADROOM
    if stage.memory_budget_bytes is not None and empty_bytes is not None:
        yield float(empty_bytes - stage.memory_budget_bytes), StopReason.MEMORY_BUDGET


def _forecast(
    stage_id: str, stage: DensityStage, at: int, crossing: Crossing, reason: StopReason
) -> Forecast:
    if crossing.x >= stage.max_instances:
        reason = StopReason.MAX_INSTANCES
    limit, low, high = (
        float(max(at, last_level_held(stage, x))) for x in (crossing.x, crossing.low, crossing.high)
    )
    return Forecast(stage_id, at, limit, low, high, reason)
