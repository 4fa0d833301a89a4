"""C1 and C7: what instances say of their kernel, and what they see of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collector.claims.classes import CONTAINERS, class_of
from collector.claims.model import Claim, Class, ScopeRow, Standing
from collector.claims.rules import RULES
from collector.claims.seen import Seen
from collector.claims.verdicts import claim, scope
from collector.reports.rows import IsolationRow

OWN_KERNEL = "a kernel of its own"
HOSTS_KERNEL = "the host's kernel"
WALLS = "sees nothing of its neighbours"


def judge_kernels(runs: Sequence[Seen]) -> Claim:
    """C1, over every subject whose instances were asked which kernel they run on."""
    rows: list[ScopeRow] = []
    told: list[str] = []
    for row, runtime_class in _asked(runs):
        judged = _container if runtime_class in CONTAINERS else _machine
        rows.append(judged(row, runtime_class))
        told += _releases(row)
    return claim("C1", rows, {"container", "full VM"}, told)


def judge_walls(runs: Sequence[Seen]) -> Claim:
    """C7, over containers that were asked beside neighbours."""
    asked = [(row, c) for row, c in _asked(runs) if c in CONTAINERS]
    told = [f"{row.runtime} on {row.host}: {seen}." for row, _ in asked for seen in row.host_sees]
    return claim("C7", [_walled(row, c) for row, c in asked], {"container"}, told)


def _asked(runs: Sequence[Seen]) -> Iterator[tuple[IsolationRow, Class]]:
    for run in runs:
        for row in run.result.isolation:
            runtime_class = class_of(row)
            if runtime_class is not None:
                yield row, runtime_class


def _container(row: IsolationRow, runtime_class: Class) -> ScopeRow:
    marks = {"boot id": row.boot_id, "kernel release": row.kernel, "boot time": row.start_time}
    others = [name for name, same in marks.items() if same in ("own", "mixed")]
    verdict: Standing = "refuted" if others else "supported"
    reason = "boot id and kernel release inside are the host's, in every instance."
    if others:
        reason = f"the {' and '.join(others)} inside is not the host's."
    elif row.boot_id is None or row.kernel is None or row.answered < row.instances:
        verdict, reason = "inconclusive", _untold(row, "boot id and kernel release")
    return scope(row, runtime_class, HOSTS_KERNEL, verdict, reason, n=row.answered)


def _machine(row: IsolationRow, runtime_class: Class) -> ScopeRow:
    verdict: Standing = "supported" if row.boot_id == "own" else "refuted"
    reason = "the boot id inside is not the host's, in every instance."
    if row.boot_id is None or row.answered < row.instances:
        verdict, reason = "inconclusive", _untold(row, "boot id")
    elif verdict == "refuted":
        reason = "the boot id inside is the host's."
    return scope(row, runtime_class, OWN_KERNEL, verdict, reason, n=row.answered)


def _untold(row: IsolationRow, what: str) -> str:
    return f"{row.answered} of {row.instances} instances told their {what}, or not all of it."


def _releases(row: IsolationRow) -> Iterator[str]:
    inside = sorted({place.kernel for place in row.inside if place.kernel})
    if inside and row.outside and row.outside.kernel:
        told = f"{' and '.join(inside)} inside, {row.outside.kernel} on the host"
        yield f"{row.runtime} on {row.host}: kernel {told}, {row.answered} instances."


def _walled(row: IsolationRow, runtime_class: Class) -> ScopeRow:
    sights = [sight for sight in row.sights if sight.of == "neighbour"]
    seen = [sight for sight in sights if sight.seen]
    unclear = [sight for sight in sights if sight.seen is None]
    verdict: Standing = "supported"
    reason = "processes, mounts, hostname and network of another were not seen from any."
    if seen:
        verdict, reason = "refuted", f"{seen[0].facet} of another: {seen[0].evidence}"
    elif not sights or row.answered < max(row.instances, RULES["C7"].numbers["instances"]):
        verdict, reason = "inconclusive", _untold(row, "sight")
    elif unclear:
        verdict, reason = "inconclusive", f"{unclear[0].facet}: {unclear[0].evidence}"
    elif runtime_class == "container" and row.host_sees_workload != row.answered:
        verdict = "inconclusive"
        reason = f"the host saw {row.host_sees_workload} of {row.answered} workloads itself."
    return scope(row, runtime_class, WALLS, verdict, reason, n=row.answered)
