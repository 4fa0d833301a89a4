"""C6: a VM's start is the boot of an operating system, a container's is near-instant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from collector.claims import boots
from collector.claims.model import Claim, ScopeRow, Standing
from collector.claims.rules import RULES
from collector.claims.seen import Seen, Tried, tried
from collector.claims.verdicts import against_it, claim, scope
from collector.reports import figures
from collector.stats.bootstrap import Interval
from collector.stats.compare import compare
from collector.stats.summary import median_interval, quantile, required_samples

_TAIL = 0.01  # of the starts lie beyond their p99
_MARKED = 0.9  # of the ready starts must tell when their kernel began: the rest is no fair sample
FEWEST = required_samples(0.5)
NEAR_INSTANT = "near-instant"
OS_BOOT = "share of the start that is the guest's boot"
RATIO = "start, VM / container"


def judge(runs: Sequence[Seen]) -> Claim:
    """The claim over the workloads that a VM and a container both started in one run. Of a
    subject that several runs started, the run with the most starts counts."""
    most: dict[tuple[object, ...], ScopeRow] = {}
    for row in (row for run in runs for row in _of_run(list(tried([run])))):
        part = (row.host, row.runtime, row.accelerator, row.variant, row.mode, row.aspect)
        if part not in most or most[part].n < row.n:
            most[part] = row
    return claim("C6", list(most.values()), {"container", "full VM"}, boots.told(runs))


def _of_run(found: Sequence[Tried]) -> Iterator[ScopeRow]:
    for each in found:
        others = [o for o in found if o.is_container != each.is_container and _alike(each, o)]
        if not others:
            continue
        if each.is_container:
            yield _near_instant(each)
        else:
            yield _boot_share(each)
        deciding = {"full VM"} if each.runtime_class == "sandboxed container" else {"container"}
        against = [o for o in others if o.runtime_class in deciding]
        if against and each.runtime_class != "container":
            yield _ratio(each, against)


def _alike(left: Tried, right: Tried) -> bool:
    """Whether a VM and a container may be compared. A restored VM meets a warm container."""
    modes = {left.subject.mode, right.subject.mode}
    same = ("host", "network", "workload")
    return (len(modes) == 1 or modes == {"restore", "warm"}) and all(
        getattr(left.subject, field) == getattr(right.subject, field) for field in same
    )


def _near_instant(of: Tried) -> ScopeRow:
    numbers = RULES["C6"].numbers
    seconds, limit = of.seconds, numbers["median_seconds"]
    if len(seconds) < FEWEST:
        return _few(of, NEAR_INSTANT)
    ci = median_interval(seconds, of.seed)
    median, p99 = float(np.median(seconds)), quantile(seconds, 0.99).value
    verdict = _instant(ci, p99, limit, numbers["p99_seconds"])
    told = f"median {figures.seconds(median)} against {figures.seconds(limit)}"
    enough = f"p99 {figures.seconds(p99)} against {figures.seconds(numbers['p99_seconds'])}"
    lacking = f"no p99 of {len(seconds)} starts, which needs {numbers['p99_samples']:g}"
    reason = f"{told}; {lacking if p99 is None else enough}."
    if verdict == "supported" and len(of.refused) > _TAIL * (len(seconds) + len(of.refused)):
        verdict = "inconclusive"  # those that never were ready would make up the p99
        reason += f" {len(of.refused)} more starts never were ready."
    return scope(
        of.subject,
        of.runtime_class,
        NEAR_INSTANT,
        verdict,
        reason,
        n=len(seconds),
        estimate=median,
        unit="s",
        ci=ci,
    )


def _instant(ci: Interval, p99: float | None, limit: float, slowest: float) -> Standing:
    if ci[0] > limit or (p99 is not None and p99 > slowest):
        return "refuted"
    return "supported" if ci[1] <= limit and p99 is not None else "inconclusive"


def _boot_share(of: Tried) -> ScopeRow:
    """Each start's share between the guest kernel's first mark and ready."""
    ready = of.ready
    if len(ready) < FEWEST:
        return _few(of, OS_BOOT)
    shares = [_share(trial) for trial in ready if trial["kernel_ns"] is not None]
    if not shares and of.runtime_class == "restored VM":
        told = "nothing boots: the guest goes on where its snapshot was taken."
        return _share_row(of, "refuted", told, [0.0] * len(ready))
    if len(shares) < max(FEWEST, _MARKED * len(ready)):
        told = f"{len(shares)} of {len(ready)} ready starts have a mark of the guest's kernel."
        return scope(of.subject, of.runtime_class, OS_BOOT, "inconclusive", told, n=len(shares))
    told = "lies between the kernel's first mark and ready."
    told = f"{figures.percent(float(np.median(shares)))} of a start {told}"
    return _share_row(of, _boots(median_interval(shares, of.seed)), told, shares)


def _share_row(of: Tried, verdict: Standing, told: str, shares: Sequence[float]) -> ScopeRow:
    return scope(
        of.subject,
        of.runtime_class,
        OS_BOOT,
        verdict,
        told,
        n=len(shares),
        estimate=float(np.median(shares)),
        unit="share",
        ci=median_interval(shares, of.seed),
    )


def _boots(ci: Interval) -> Standing:
    least = RULES["C6"].numbers["boot_share"]
    if ci[1] < least:
        return "refuted"
    return "supported" if ci[0] >= least else "inconclusive"


def _share(trial: Mapping[str, Any]) -> float:
    return float((trial["ready_ns"] - trial["kernel_ns"]) / trial["ready_ns"])


def _ratio(of: Tried, others: Sequence[Tried]) -> ScopeRow:
    """Against the other side that says least for the claim."""
    return min((_ratio_to(of, other) for other in others), key=_against_it)


def _against_it(row: ScopeRow) -> tuple[int, float]:
    return against_it(row.verdict, row.ci)


def _ratio_to(of: Tried, other: Tried) -> ScopeRow:
    container, machine = (of, other) if of.is_container else (other, of)
    found = compare(
        container.seconds,
        machine.seconds,
        seed=of.seed,
        missing_baseline=len(container.refused),
        missing_candidate=len(machine.refused),
    )
    verdict: Standing = "inconclusive"
    if found.interval is not None:
        above = found.interval[0] > RULES["C6"].numbers["ratio"]
        verdict = "supported" if above else "refuted"
    told = found.reason
    if found.ratio is not None:
        medians = [figures.seconds(float(np.median(side.seconds))) for side in (machine, container)]
        told = f"{medians[0]} of {machine.subject.runtime} against {medians[1]} of "
        told += f"{container.subject.runtime}."
    return scope(
        of.subject,
        of.runtime_class,
        RATIO,
        verdict,
        told,
        n=found.n_baseline + found.n_candidate,
        estimate=found.ratio,
        unit="VM / container",
        ci=found.interval,
        against=other.subject.runtime,
    )


def _few(of: Tried, aspect: str) -> ScopeRow:
    told = f"{len(of.ready)} of {len(of.trials)} starts were ready, a median needs {FEWEST}."
    return scope(of.subject, of.runtime_class, aspect, "inconclusive", told, n=len(of.ready))
