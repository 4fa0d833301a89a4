"""C4: the number of VMs is bounded by memory, since each guest takes much of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from collector.claims.classes import MACHINES, class_of
from collector.claims.model import Claim, Class, ScopeRow, Standing
from collector.claims.ramps import Ramps, ends, every, floors, sizes
from collector.claims.rules import RULES
from collector.claims.seen import Seen
from collector.claims.verdicts import claim, scope
from collector.reports import figures
from collector.reports.model import DensityRow, Subject
from collector.stats.bootstrap import Interval

MEMORY_BOUND = "memory ended the ramp"
SCALES = "N grows as memory does"
BOUND_BY_MEMORY = frozenset({"memory_limit"})
"""Stop reasons that blame the group's own hard limit, by its kernel's counts."""
CUT_SHORT = frozenset({"cancelled", "time_limit", "max_instances"})
GUARDS = frozenset({"memory_headroom", "memory_budget", "disk_headroom"})
OUR_DOING = CUT_SHORT | GUARDS
"""Stop reasons that say nothing of the group's limit: it was not reached."""


def judge(runs: Sequence[Seen]) -> Claim:
    """The claim over every ramp of a VM under a hard limit, in whichever run it was made.
    Of several of the same guest and limit the last that ended counts."""
    ramps: dict[tuple[Subject, Class], dict[int, dict[int, DensityRow]]] = {}
    for row in (row for run in runs for row in run.result.density):
        runtime_class = class_of(row)
        if runtime_class in MACHINES and row.memory_limit_bytes is not None:
            subject = Subject(**{field: getattr(row, field) for field in Subject.model_fields})
            key = subject.model_copy(update={"memory_bytes": 0}), runtime_class
            limits = ramps.setdefault(key, {}).setdefault(row.memory_bytes, {})
            before = limits.get(row.memory_limit_bytes)
            if before is None or _ended(row) or not _ended(before):
                limits[row.memory_limit_bytes] = row
    rows = [each for (subject, c), found in ramps.items() for each in _parts(subject, c, found)]
    told = [text for found in ramps.values() for text in (*ends(found), *sizes(found))]
    searched = [row for run in runs for row in run.result.memory_floor]
    told += floors(searched, [(subject, found) for (subject, _), found in ramps.items()])
    return claim("C4", rows, {"full VM"}, told)


def _parts(subject: Subject, runtime_class: Class, ramps: Ramps) -> Iterator[ScopeRow]:
    numbers = RULES["C4"].numbers
    yield _bound(subject, runtime_class, ramps)
    scaled = [_scaled(subject, runtime_class, size, ramps[size]) for size in sorted(ramps)]
    whole = [row for row in scaled if row is not None]
    yield from whole
    if len(whole) < numbers["sizes"] or any(len(by) < numbers["limits"] for by in ramps.values()):
        told = f"there are ramps of {len(ramps)} guest sizes under "
        told += f"{' and '.join(str(len(by)) for by in ramps.values())} hard limits."
        yield scope(subject, runtime_class, SCALES, "inconclusive", told, n=len(whole))


def _ended(row: DensityRow) -> bool:
    """Whether the ramp found the most that this limit lets live: a number above 0."""
    return bool(row.instances) and row.stop_reason not in (None, *OUR_DOING)


def _bound(subject: Subject, runtime_class: Class, ramps: Ramps) -> ScopeRow:
    rows = every(ramps)
    other = [row for row in rows if row.stop_reason not in BOUND_BY_MEMORY]
    verdict: Standing = "supported"
    told = f"{len(rows)} of {len(rows)} ramps ended at the group's hard limit."
    if other:
        telling = [row for row in other if _ended(row)]  # else not ended, or not one booted
        verdict = "refuted" if telling else "inconclusive"
        reason = ((telling or other)[0].stop_reason or "it did not end").replace("_", " ")
        told = f"{len(other)} of {len(rows)} ramps ended otherwise: {reason}."
    return scope(subject, runtime_class, MEMORY_BOUND, verdict, told, n=len(rows))


def _scaled(
    subject: Subject, runtime_class: Class, size: int, ramps: Mapping[int, DensityRow]
) -> ScopeRow | None:
    """From the smallest limit to the largest; None where there are not two that ended."""
    ended = {limit: row.instances or 0 for limit, row in ramps.items() if _ended(row)}
    if len(ended) < 2:
        return None
    low, high = min(ended), max(ended)
    few, many = ended[low], ended[high]
    span = _span(few, many)
    verdict, why = _scales(span, few, high / low)
    told = f"guests of {figures.binary_size(size)}: {few} under {figures.binary_size(low)}, "
    told += f"{many} under {figures.binary_size(high)}{why}."
    part = f"{SCALES}, {figures.binary_size(size)}"
    return scope(
        subject.model_copy(update={"memory_bytes": size}),
        runtime_class,
        part,
        verdict,
        told,
        n=len(ended),
        estimate=many / few,
        unit="N / N",
        ci=span,
    )


def _span(few: float, many: float) -> Interval:
    """The ratio of what fits, of which whole instances are counted: N lived, one more did not."""
    grain = RULES["C4"].numbers["grain"]
    return many / (few + grain), (many + grain) / few


def _scales(span: Interval, few: int, wanted: float) -> tuple[Standing, str]:
    """Whether the whole range lies in the band around the ratio of limits, or none of it."""
    if _within(span, wanted):
        return "supported", ""
    band = RULES["C4"].numbers["band"]
    if span[1] < (1 - band) * wanted or span[0] > (1 + band) * wanted:
        return "refuted", ""
    told = f", a ratio of {figures.times_span(span)} where {figures.times(wanted)} is wanted"
    if _within(_span(few, few * wanted), wanted):
        return "inconclusive", f"{told}: neither wholly in the band nor wholly outside"
    return "inconclusive", f"{told}: too few instances to tell"


def _within(span: Interval, wanted: float) -> bool:
    band = RULES["C4"].numbers["band"]
    return (1 - band) * wanted <= span[0] and span[1] <= (1 + band) * wanted
