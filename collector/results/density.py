"""Density rows: the limit of each ramp, its forecast, and its steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from collector.model import RunData
from collector.reports.model import DensityRow, DensityStep
from collector.results.subjects import Key, Subjects, stages
from tonnage.model import DensityResult, DensityStage, Forecast, Step, StopReason

CUT_SHORT = frozenset({StopReason.CANCELLED, StopReason.TIME_LIMIT, StopReason.MAX_INSTANCES})
"""Reasons that say nothing of the host: its limit is at least what was reached."""


@dataclass(slots=True)
class Ramp:
    """What is stored of one density stage on one host."""

    key: Key
    steps: list[Step] = field(default_factory=list)
    forecast: Forecast | None = None
    result: DensityResult | None = None
    refilled: int = 0
    memory_limit_bytes: int | None = None

    @property
    def limit(self) -> int | None:
        """The host's limit, where the ramp found it."""
        if self.result is None or self.result.stop_reason in CUT_SHORT:
            return None
        return self.result.limit_instances


def ramps(data: RunData, subjects: Subjects) -> list[Ramp]:
    """One ramp for each density stage of each host's plan, in the plan's order."""
    found: dict[tuple[str, str], Ramp] = {}
    for host, stage_id, experiment in stages(data, DensityStage):
        again = subjects.refilled(host, stage_id)
        found[host, stage_id] = Ramp(
            subjects.key(host, experiment.target_id),
            refilled=again,
            memory_limit_bytes=experiment.memory_limit_bytes,
        )
    for row in data.facts:
        if isinstance(row.fact, Step | Forecast | DensityResult):
            ramp = found.get((row.host, row.fact.stage_id))
            if ramp is not None:
                _take(ramp, row.fact)
    return list(found.values())


def _take(ramp: Ramp, fact: Step | Forecast | DensityResult) -> None:
    if isinstance(fact, Step):
        ramp.steps.append(fact)
    elif isinstance(fact, Forecast):
        ramp.forecast = fact
    else:
        ramp.result = fact


def density_row(ramp: Ramp, subjects: Subjects) -> DensityRow:
    """The row of one ramp; a ramp that has not ended has steps and no limit."""
    forecast, result = ramp.forecast, ramp.result
    return DensityRow(
        **dict(subjects.subject(ramp.key)),
        instances=result.limit_instances if result else None,
        stop_reason=result.stop_reason.value if result else None,
        binding_constraint=result.binding_constraint if result else None,
        memory_limit_bytes=ramp.memory_limit_bytes,
        forecast_instances=forecast.limit_instances if forecast else None,
        forecast_ci=(forecast.limit_low, forecast.limit_high) if forecast else None,
        forecast_at_instances=forecast.at_instances if forecast else None,
        forecast_error=_forecast_error(ramp),
        steps=[_step(step) for step in sorted(ramp.steps, key=lambda step: step.number)],
        refilled=ramp.refilled,
    )


def _forecast_error(ramp: Ramp) -> float | None:
    """(forecast - limit) / limit, where the ramp reached what was forecast."""
    if ramp.forecast is None or ramp.result is None or not ramp.result.limit_instances:
        return None
    reached = ramp.result.stop_reason
    if reached in CUT_SHORT and reached is not ramp.forecast.constraint:
        return None
    limit = ramp.result.limit_instances
    return (ramp.forecast.limit_instances - limit) / limit


def _step(step: Step) -> DensityStep:
    sample = step.sample
    return DensityStep(
        instances=sample.instances,
        mem_available_bytes=sample.mem_available_bytes,
        foreign_bytes=sample.foreign_bytes,
        pss_bytes=sample.pss_bytes,
        cgroup_bytes=sample.cgroup_bytes,
        group_bytes=sample.group_bytes,
        group_peak_bytes=sample.group_peak_bytes,
        oom_kills=sample.oom_kills,
        cpu_some_avg10=sample.cpu_some_avg10,
        memory_some_avg10=sample.memory_some_avg10,
        io_some_avg10=sample.io_some_avg10,
        probe_p50_seconds=step.probe_p50_seconds,
        alive=sample.alive,
        answering=sample.answering,
        met_slo=step.met_slo,
    )
