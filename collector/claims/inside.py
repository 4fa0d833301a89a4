"""C1 and C7: what instances say of their kernel, and what they see of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from collector.claims.classes import CONTAINERS, class_of
from collector.claims.model import Claim, Class, ScopeRow, Standing
from collector.claims.rules import RULES
from collector.claims.seen import Seen
from collector.claims.verdicts import claim, name, scope
from collector.reports.names import some_of
from collector.reports.rows import Inside, IsolationRow

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
        told += _told(row)
    return claim("C1", rows, {"container", "full VM"}, told)


def judge_walls(runs: Sequence[Seen]) -> Claim:
    """C7, over containers that were asked beside neighbours."""
    asked = [(row, c) for row, c in _asked(runs) if c in CONTAINERS]
    told = _looked_at([row for row, _ in asked]) if asked else []
    told += [f"{_who(row)}: {seen}." for row, _ in asked for seen in row.host_sees]
    return claim("C7", [_walled(row, c) for row, c in asked], {"container"}, told)


def _who(row: IsolationRow) -> str:
    """A row's subject in a sentence, with the workload that was asked."""
    return f"{name(row)} with {row.workload} on {row.host}"


def _asked(runs: Sequence[Seen]) -> Iterator[tuple[IsolationRow, Class]]:
    """Rows of known classes. Where no instance came up on a network, there is nothing to judge
    that those without one do not show."""
    for run in runs:
        for row in run.result.isolation:
            runtime_class = class_of(row)
            if runtime_class is not None and (row.answered or row.network == "none"):
                yield row, runtime_class


def _container(row: IsolationRow, runtime_class: Class) -> ScopeRow:
    marks = {"boot id": row.boot_id, "kernel release": row.kernel, "boot time": row.start_time}
    others = [name for name, same in marks.items() if same in ("own", "mixed")]
    verdict: Standing = "refuted" if others else "supported"
    reason = "boot id, kernel release and boot time inside are the host's, in every instance."
    if others:
        reason = f"the {' and '.join(others)} inside is not the host's."
    elif None in marks.values() or row.answered < row.instances:
        verdict, reason = "inconclusive", _untold(row, "boot id, kernel release and boot time")
    return _all(row, runtime_class, HOSTS_KERNEL, verdict, reason)


def _all(
    row: IsolationRow, runtime_class: Class, aspect: str, verdict: Standing, reason: str
) -> ScopeRow:
    """A part that holds for every instance that answered, if it is supported."""
    count = row.answered if verdict == "supported" else None
    return scope(row, runtime_class, aspect, verdict, reason, n=row.answered, count=count)


def _machine(row: IsolationRow, runtime_class: Class) -> ScopeRow:
    marks = {"boot id": row.boot_id, "boot time": row.start_time}
    shared = [name for name, same in marks.items() if same in ("host's", "mixed")]
    verdict: Standing = "supported"
    reason = "the boot id inside is no other's, and the kernel started after the host's, in every "
    reason += "instance."
    if shared:
        verdict, reason = "refuted", f"the {' and '.join(shared)} inside is the host's."
    elif _twins(row):
        verdict, reason = "refuted", "the boot id inside is another instance's."
    elif None in marks.values() or row.answered < row.instances:
        verdict, reason = "inconclusive", _untold(row, "boot id and boot time")
    elif _older(row):
        verdict, reason = "inconclusive", "a kernel inside started before the host's, by its clock."
    return _all(row, runtime_class, OWN_KERNEL, verdict, reason)


def _twins(row: IsolationRow) -> bool:
    """Whether two instances told the same boot id."""
    ids = [place.boot_id for place in row.inside if place.boot_id]
    return len(set(ids)) < len(ids)


def _older(row: IsolationRow) -> bool:
    """Whether a kernel inside says that it started before the host's."""
    outside = row.outside.start_time_unix if row.outside else None
    starts = [place.start_time_unix for place in row.inside if place.start_time_unix is not None]
    return outside is not None and any(start < outside for start in starts)


def _untold(row: IsolationRow, what: str) -> str:
    return f"{row.answered} of {row.instances} instances told their {what}, or not all of it."


def _told(row: IsolationRow) -> Iterator[str]:
    """Kernel releases, boot ids and boot times, each inside beside the host's."""
    inside = sorted({place.kernel for place in row.inside if place.kernel})
    if inside and row.outside and row.outside.kernel:
        told = f"{' and '.join(inside)} inside, {row.outside.kernel} on the host"
        yield f"{_who(row)}: kernel {told}, {row.answered} instances."
    if row.outside:
        ids = [_boot_id(place) for place in (*row.inside, row.outside)]
        starts = [_started(place) for place in (*row.inside, row.outside)]
        yield f"{_who(row)}: boot id {_beside(ids)}; booted {_beside(starts)}."


def _beside(told: Sequence[str]) -> str:
    """What each instance told, once where it is the same, and last what the host told."""
    return f"{', '.join(dict.fromkeys(told[:-1])) or 'not told'} inside, {told[-1]} on the host"


def _boot_id(place: Inside) -> str:
    """Its beginning, which tells it from others; the run's own result has all of it."""
    return place.boot_id[:8] if place.boot_id else "not told"


def _started(place: Inside) -> str:
    if place.start_time_unix is None:
        return "not told"
    return f"{datetime.fromtimestamp(place.start_time_unix, UTC):%Y-%m-%d %H:%M:%S}"


_LOOKED_AT = (
    "Looked at: whether an instance lists another's mark among its processes or files, and "
    "whether host name, mounts and network are of one namespace. Not looked at: whether it "
    "can break out, or reach another by its address."
)
_THE_HOST = "The host was asked for the instances' processes, and not for their mounts or networks."


def _looked_at(rows: Sequence[IsolationRow]) -> list[str]:
    """What the verdict rests on, and what nobody looked at."""
    alone = {row.runtime for row in rows if row.network == "none"}
    bridged = {row.runtime for row in rows if row.network == "bridge"}
    told = []
    if bridged:
        told.append(f"Containers of {some_of(sorted(bridged))} were asked on one bridge.")
    if alone - bridged:
        told.append(
            f"Those of {some_of(sorted(alone - bridged))} had network none, a loopback interface "
            "each: that none saw another's network says little of containers on a bridge."
        )
    return [_LOOKED_AT, _THE_HOST, *told]


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
    return _all(row, runtime_class, WALLS, verdict, reason)
