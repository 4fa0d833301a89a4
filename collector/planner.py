"""From an experiment and the hosts to one plan a host. Pure: no clock, no chance, no I/O."""

from __future__ import annotations

from collections.abc import Sequence

from collector.errors import InvalidInput
from collector.spec import (
    Churn,
    Combination,
    Density,
    Footprint,
    HealthCheck,
    Isolation,
    MemoryFloor,
    Readiness,
    SloSpec,
    Spec,
    Startup,
    WorkloadSpec,
    tweaked,
)
from collector.suitability import Host, check, first_variant
from tonnage.model import (
    ChurnStage,
    ConsoleHealth,
    DensityStage,
    FootprintStage,
    Health,
    HttpHealth,
    HttpReadiness,
    IsolationStage,
    LogReadiness,
    MemoryFloorStage,
    Plan,
    Slo,
    Stage,
    StartupStage,
    Target,
    TargetTrials,
    TcpReadiness,
    Workload,
)
from tonnage.model import Readiness as ReadinessRule

ANSWER_SECONDS = 30.0
"""A machine in software makes some fifty processes to tell what it sees: a second or two."""

__all__ = ["Host", "check", "plan", "short_name", "workload"]


def plan(spec: Spec, run_id: str, seed: int, hosts: Sequence[Host]) -> dict[str, Plan]:
    """Return the plan of every host, by the host's name; ``hosts`` are those selected.

    Raises ``InvalidInput`` naming field and value for what one of them lacks.
    """
    return {
        host.name: _plan(spec, run_id, seed, host, release=_release_within(spec, len(hosts)))
        for host in hosts
    }


def workload(spec: WorkloadSpec, name: str | None = None) -> Workload:
    """Return the workload as agents know it, called ``name`` or after its image."""
    return Workload(
        name=spec.name or name or short_name(spec.image),
        image=spec.image,
        readiness=_readiness(spec.readiness),
        command=spec.command,
        environment=dict(spec.environment),
        pull=spec.pull,
        health=_health(spec.health),
    )


def short_name(image: str) -> str:
    """Return an image's own name: ``tonnage/idle:1`` is ``idle``."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()


def _release_within(spec: Spec, hosts: int) -> float:
    """A host alone has nobody to begin with."""
    return spec.hosts.barrier if hosts > 1 else 0.0


def _plan(spec: Spec, run_id: str, seed: int, host: Host, *, release: float) -> Plan:
    combinations = spec.combinations()
    targets = tuple(_target(spec, combination, host) for combination in combinations)
    for combination, target in zip(combinations, targets, strict=True):
        check(target, host, f"targets[{spec.targets.index(combination.entry)}].")
    return Plan(
        run_id=run_id,
        seed=seed,
        targets=targets,
        stages=_stages(spec, combinations),
        noisy_above_share=spec.noisy_above,
        time_limit_seconds=spec.time_limit,
        release_within_seconds=release,
    )


def _target(spec: Spec, chosen: Combination, host: Host) -> Target:
    runtime = next((r for r in host.runtimes if r.runtime == chosen.entry.runtime), None)
    first = first_variant(runtime, chosen.mode) if runtime else "default"
    described = spec.workloads[chosen.workload] if chosen.workload else spec.workload
    if described is None:
        raise InvalidInput("needs either workload or workloads", field="workload")
    return Target(
        id=chosen.id,
        runtime=chosen.entry.runtime,
        variant=chosen.variant or first,
        mode=chosen.mode,
        network=chosen.network,
        workload=workload(described, chosen.workload),
        memory_bytes=chosen.memory_bytes,
        cpus=chosen.cpus,
    )


def _stages(spec: Spec, targets: Sequence[Combination]) -> tuple[Stage, ...]:
    """The lightest first: a density ramp leaves a host warm and its caches empty."""
    stages: list[Stage] = []
    if spec.startup is not None:
        stages.append(Stage("startup", _startup(spec, spec.startup, targets)))
    if spec.footprint is not None:
        stages += [_footprint(spec, spec.footprint, target) for target in targets]
    if spec.isolation is not None:
        stages += [_isolation(spec, spec.isolation, target) for target in targets]
    if spec.churn is not None:
        stages += [_churn(spec, spec.churn, target) for target in targets]
    if spec.memory_floor is not None:
        stages += [_memory_floor(spec, spec.memory_floor, target) for target in targets]
    if spec.density is not None:
        stages += [_density(spec, spec.density, target) for target in targets]
    return tuple(stages)


def _startup(spec: Spec, startup: Startup, targets: Sequence[Combination]) -> StartupStage:
    return StartupStage(
        targets=tuple(
            TargetTrials(target.id, tweaked(startup, startup.per_target, target).trials)
            for target in targets
        ),
        warmup=startup.warmup,
        concurrency=startup.concurrency,
        ready_timeout_seconds=spec.ready_timeout,
    )


def _density(spec: Spec, common: Density, target: Combination) -> Stage:
    density = tweaked(common, common.per_target, target)
    stage = DensityStage(
        target_id=target.id,
        step=density.step,
        max_instances=density.max_instances,
        probes=density.probes,
        slo=_slo(density.slo),
        forecast_after_steps=density.forecast_after,
        settle_seconds=density.settle,
        ready_timeout_seconds=spec.ready_timeout,
        concurrency=density.concurrency,
        memory_budget_bytes=density.memory_budget,
        resolution=density.resolution,
        memory_limit_bytes=density.memory_limit,
    )
    return Stage(f"density/{target.id}", stage)


def _footprint(spec: Spec, common: Footprint, target: Combination) -> Stage:
    footprint = tweaked(common, common.per_target, target)
    stage = FootprintStage(
        target_id=target.id,
        counts=footprint.counts,
        repeats=footprint.repeats,
        settle_seconds=footprint.settle,
        ready_timeout_seconds=spec.ready_timeout,
        concurrency=footprint.concurrency,
    )
    return Stage(f"footprint/{target.id}", stage)


def _isolation(spec: Spec, common: Isolation, target: Combination) -> Stage:
    stage = IsolationStage(
        target_id=target.id,
        instances=tweaked(common, common.per_target, target).instances,
        answer_timeout_seconds=ANSWER_SECONDS,
        ready_timeout_seconds=spec.ready_timeout,
    )
    return Stage(f"isolation/{target.id}", stage)


def _churn(spec: Spec, common: Churn, target: Combination) -> Stage:
    churn = tweaked(common, common.per_target, target)
    stage = ChurnStage(
        target_id=target.id,
        instances=churn.instances,
        rate_per_second=churn.rate,
        duration_seconds=churn.duration,
        readings=churn.readings,
        settle_seconds=churn.settle,
        ready_timeout_seconds=spec.ready_timeout,
        concurrency=churn.concurrency,
        max_in_flight=churn.max_in_flight,
    )
    return Stage(f"churn/{target.id}", stage)


def _memory_floor(spec: Spec, common: MemoryFloor, target: Combination) -> Stage:
    own = tweaked(common, common.per_target, target)
    stage = MemoryFloorStage(
        target_id=target.id,
        low_bytes=own.low,
        high_bytes=own.high,
        launches=own.launches,
        ready_timeout_seconds=spec.ready_timeout,
    )
    return Stage(f"memory_floor/{target.id}", stage)


def _slo(slo: SloSpec) -> Slo:
    return Slo(
        ready_p95_seconds=slo.ready_p95,
        cpu_some_avg10=_percent(slo.cpu_pressure),
        memory_some_avg10=_percent(slo.memory_pressure),
        io_some_avg10=_percent(slo.io_pressure),
        mem_available_bytes=slo.available_memory,
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 7)


def _readiness(rule: Readiness) -> ReadinessRule:
    if rule.tcp is not None:
        return TcpReadiness(rule.tcp.port, rule.tcp.send)
    if rule.http is not None:
        return HttpReadiness(rule.http.port, rule.http.path)
    return LogReadiness(rule.log or "")


def _health(check: HealthCheck | None) -> Health | None:
    if check is None:
        return None
    if check.http is not None:
        return HttpHealth(check.http.port, check.http.path)
    return ConsoleHealth(check.console.ask, check.console.answer) if check.console else None
