"""C5: containers take less memory and disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from collector.claims.classes import MACHINES, class_of
from collector.claims.model import Claim, Class, OpenInterval, ScopeRow, Standing
from collector.claims.rules import RULES
from collector.claims.seen import Seen
from collector.claims.verdicts import against_it, claim, name, scope
from collector.reports import figures
from collector.reports.model import FootprintRow, Subject
from collector.reports.names import same_subject
from collector.stats.bootstrap import Interval
from collector.stats.recovered import ratio_interval

ASPECTS = {
    "mem_available": "memory by MemAvailable",
    "pss": "memory by PSS",
    "cgroup": "memory by cgroup charge",
    "disk_base": "disk, once for all",
    "disk_marginal": "disk, each further one",
}
"""The estimators that both sides may have."""


def judge(runs: Sequence[Seen]) -> Claim:
    """The claim over slopes of one run on one host, with the same workload and network."""
    rows = [row for run in runs for row in _of_run(run.result.footprint)]
    told = [text for run in runs for text in _translated(run.result.footprint)]
    return claim("C5", rows, {"full VM"}, told)


def _of_run(rows: Sequence[FootprintRow]) -> Iterator[ScopeRow]:
    known = [(row, c) for row in rows if (c := class_of(row)) and row.estimator in ASPECTS]
    machines = [(row, c) for row, c in known if c in MACHINES]
    containers = [row for row, c in known if c == "container"]
    sandboxed = [row for row, c in known if c == "sandboxed container"]
    for machine, runtime_class in machines:
        pairs = [_pair(machine, light) for light in containers if _alike(machine, light)]
        if pairs:
            yield _row(machine, runtime_class, _worst(pairs))
    for light in sandboxed:
        full = [row for row, c in machines if c == "full VM" and _alike(row, light)]
        if full:
            worst = _worst([_pair(machine, light) for machine in full])
            yield _row(light, "sandboxed container", worst)


def _translated(rows: Sequence[FootprintRow]) -> Iterator[str]:
    """What a VM without acceleration takes of which one with it knows nothing: TCG keeps the
    instructions that it has translated. So the guest's part is told alone."""
    for vm in rows:
        if class_of(vm) not in MACHINES or (vm.accelerator, vm.estimator) != ("tcg", "pss"):
            continue
        mine = (row for row in rows if row.estimator == "vmm_overhead" and same_subject(row, vm))
        own = next(mine, None)
        light = [row for row in rows if class_of(row) == "container" and _alike(row, vm)]
        heaviest = max(light, key=_bytes, default=None)
        if own is None or heaviest is None or _bytes(heaviest) <= 0:
            continue
        if (guest := _bytes(vm) - _bytes(own)) > 0:
            yield (
                f"{name(vm)} on {vm.host}, {figures.binary_size(vm.memory_bytes)}: of"
                f" {figures.size(_bytes(vm))} by PSS {figures.size(_bytes(own))} are the VMM's"
                " own, where TCG keeps the instructions that it has translated; the guest's"
                f" {figures.size(guest)} alone are {figures.times(guest / _bytes(heaviest))} of"
                f" {heaviest.runtime}'s, the heaviest container's here."
            )


def _bytes(row: FootprintRow) -> float:
    return row.bytes_per_instance or 0.0


def _alike(left: FootprintRow, right: FootprintRow) -> bool:
    same = ("host", "estimator", "network", "workload")
    return all(getattr(left, field) == getattr(right, field) for field in same)


@dataclass(frozen=True, slots=True)
class Pair:
    """A VM's cost against a container's, by one estimator."""

    machine: FootprintRow
    container: FootprintRow
    verdict: Standing
    ratio: float | None
    ci: OpenInterval | None
    reason: str


def _pair(machine: FootprintRow, container: FootprintRow) -> Pair:
    heavy, light = machine.bytes_per_instance, container.bytes_per_instance
    heavy_ci, light_ci = machine.ci_bytes, container.ci_bytes
    if heavy is None or light is None or heavy_ci is None or light_ci is None:
        lacking = machine if heavy is None or heavy_ci is None else container
        why = lacking.reason or "it was not measured"
        return Pair(machine, container, "inconclusive", None, None, f"No interval: {why}.")
    if (light, light_ci) == (0, (0, 0)):
        return _against_nothing(machine, container, heavy_ci)
    ratio = heavy / light if light > 0 else None
    ci = ratio_interval(heavy, heavy_ci, light, light_ci)
    verdict = _verdict(ci)
    told = f"{figures.size(heavy)} against {figures.size(light)} of {container.runtime}."
    return Pair(machine, container, verdict, ratio, ci, told)


def _against_nothing(machine: FootprintRow, container: FootprintRow, heavy: Interval) -> Pair:
    """A container that takes exactly nothing, as one on a shared read-only root does of disk."""
    told = f"{figures.size(machine.bytes_per_instance)} against none of {container.runtime}."
    verdict: Standing = "supported" if heavy[0] > 0 else "inconclusive"
    return Pair(machine, container, verdict, None, None, told)


def _verdict(ci: OpenInterval | None) -> Standing:
    ratio = RULES["C5"].numbers["ratio"]
    low, high = ci or (None, None)
    if low is not None and low > ratio:
        return "supported"
    if high is not None and high <= ratio:
        return "refuted"
    return "inconclusive"


def _worst(pairs: Iterable[Pair]) -> Pair:
    """The pair that says least for the claim: what holds for it holds for all."""
    return min(pairs, key=lambda pair: against_it(pair.verdict, pair.ci))


def _row(subject: Subject, runtime_class: Class, pair: Pair) -> ScopeRow:
    other = pair.container if subject is pair.machine else pair.machine
    return scope(
        subject,
        runtime_class,
        ASPECTS[pair.machine.estimator],
        pair.verdict,
        pair.reason,
        n=pair.machine.n_points + pair.container.n_points,
        estimate=pair.ratio,
        unit="VM / container",
        ci=pair.ci,
        against=other.runtime,
    )
