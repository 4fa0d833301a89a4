"""Whether this host can execute a plan: asked before anything is started.

Every refusal names the field of the plan, its value and the way out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from agent.errors import InvalidInput, RuntimeUnavailable
from agent.experiments.catalog import open_experiment
from agent.runtimes.base import Capabilities, Runtime
from tonnage.model import (
    ConsoleHealth,
    DensityStage,
    Fingerprint,
    HttpHealth,
    HttpReadiness,
    LogReadiness,
    Mode,
    Plan,
    RuntimeState,
    Stage,
    Target,
    TcpReadiness,
    go_together,
)

_READINESS = {LogReadiness: "log", TcpReadiness: "tcp", HttpReadiness: "http"}
_HEALTH = {ConsoleHealth: "console", HttpHealth: "http"}


def admit(
    plan: Plan, runtimes: Mapping[str, Runtime], fingerprints: Mapping[str, Fingerprint]
) -> None:
    """Raise ``InvalidInput`` or ``RuntimeUnavailable`` unless the plan can be executed here."""
    _finite("time_limit_seconds", plan.time_limit_seconds)
    if not 0 <= plan.noisy_above_share <= 1:
        raise InvalidInput(
            "must lie between 0 and 1",
            field="noisy_above_share",
            value=f"{plan.noisy_above_share:g}",
        )
    _distinct("targets", [target.id for target in plan.targets])
    _distinct("stages", [stage.id for stage in plan.stages])
    for target in plan.targets:
        admit_target(target, f"targets[{target.id}]", runtimes, fingerprints)
    targets = {target.id: target for target in plan.targets}
    for stage in plan.stages:
        _finite(f"stages[{stage.id}].ready_timeout_seconds", _ready_timeout(stage))
        open_experiment(stage, targets, plan.seed)  # refuses what makes no sense
        _require_group(stage, targets, runtimes, fingerprints)


def admit_target(
    target: Target,
    where: str,
    runtimes: Mapping[str, Runtime],
    fingerprints: Mapping[str, Fingerprint],
) -> None:
    """Raise unless instances of ``target`` can be launched here; ``where`` names it."""
    runtime = runtimes.get(target.runtime)
    if runtime is None:
        raise InvalidInput(
            "this agent does not offer the runtime",
            field=f"{where}.runtime",
            value=target.runtime,
            remedy=f"It offers {_list(runtimes)}.",
        )
    _require_healthy(target, where, fingerprints[target.runtime])
    _require_offered(target, where, runtime.capabilities, fingerprints[target.runtime].modes)
    _require_fitting(target, where, runtime.capabilities)
    if target.memory_bytes <= 0:
        raise InvalidInput("must be above 0", field=f"{where}.memory_bytes", value="0")


def _require_healthy(target: Target, where: str, found: Fingerprint) -> None:
    if found.state is not RuntimeState.HEALTHY:
        raise RuntimeUnavailable(
            f"the runtime is {found.state.value} on this host: {found.reason}",
            field=f"{where}.runtime",
            value=target.runtime,
            remedy="Mend it, or take the runtime out of the experiment.",
        )


def _require_offered(
    target: Target, where: str, offers: Capabilities, modes: Sequence[Mode]
) -> None:
    """``modes``: of those that the runtime can offer, what it does on this host."""
    workload, name = target.workload, target.runtime
    asked = [
        ("variant", target.variant, offers.variants),
        ("network", target.network.value, [network.value for network in offers.networks]),
        ("mode", target.mode.value, [str(mode) for mode in modes]),
        ("workload.readiness", _READINESS[type(workload.readiness)], offers.readiness),
    ]
    if workload.health is not None:
        asked.append(("workload.health", _HEALTH[type(workload.health)], offers.health))
    for field, value, offered in asked:
        if value not in offered:
            raise InvalidInput(
                f"the runtime {name} does not offer it on this host",
                field=f"{where}.{field}",
                value=value,
                remedy=f"It offers {_list(offered)}.",
            )


def _require_fitting(target: Target, where: str, offers: Capabilities) -> None:
    if not go_together(target.variant, target.mode):
        fitting = [name for name in offers.variants if go_together(name, target.mode)]
        raise InvalidInput(
            f"mode {target.mode.value} has other variants",
            field=f"{where}.variant",
            value=target.variant,
            remedy=f"Its variants are {_list(fitting)}.",
        )


def _require_group(
    stage: Stage,
    targets: Mapping[str, Target],
    runtimes: Mapping[str, Runtime],
    fingerprints: Mapping[str, Fingerprint],
) -> None:
    """A ramp under a hard memory limit wants a runtime that places instances below a group."""
    work = stage.experiment
    if not isinstance(work, DensityStage) or work.memory_limit_bytes is None:
        return
    name = targets[work.target_id].runtime
    obstacle = ""
    if not runtimes[name].capabilities.takes_parent_group:
        obstacle = "it places its instances below no group of ours"
    for component, (value, why) in _GROUPLESS.items():
        if fingerprints[name].components.get(component) == value:
            obstacle = why
    if obstacle:
        raise InvalidInput(
            f"the runtime {name} cannot be put under a hard memory limit here: {obstacle}",
            field=f"stages[{stage.id}].memory_limit_bytes",
            value=str(work.memory_limit_bytes),
            remedy="Leave memory_limit out for it: density.per_target sets it for some alone.",
        )


_GROUPLESS = {
    "cgroup_driver": (
        "systemd",
        "its engine has systemd make its cgroups (native.cgroupdriver=cgroupfs changes that)",
    ),
    "runsc_cgroups": ("ignored", "its runsc is registered with --ignore-cgroups"),
}


def _ready_timeout(stage: Stage) -> float:
    return stage.experiment.ready_timeout_seconds


def _finite(field: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InvalidInput("must be a number above 0", field=field, value=f"{value:g}")


def _distinct(field: str, ids: Sequence[str]) -> None:
    if not ids:
        raise InvalidInput("must not be empty", field=field)
    for name in ids:
        if ids.count(name) > 1:
            raise InvalidInput("must be unique", field=f"{field}.id", value=name)


def _list(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(names) or "none"
