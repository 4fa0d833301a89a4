"""A comparison in plain English, of one host or over many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from collector.reports import figures
from collector.reports.merged import MergedComparisonRow
from collector.reports.model import ComparisonRow, Interval, Kind, Result, Subject
from collector.reports.names import Names, same_kind, same_subject

Compared = ComparisonRow | MergedComparisonRow
Own = TypeVar("Own", bound=Subject)
Over = TypeVar("Over", bound=Kind)
PERCENT_BELOW = 1.5  # a factor nearer to 1 reads better as a percentage

HEADLINES = {
    "footprint.mem_available": "costs less memory",
    "footprint.disk_base": "needs less disk once for all",
    "footprint.disk_marginal": "costs less disk for each further instance",
}
_OTHER_ESTIMATORS = {"footprint.pss": "PSS", "footprint.cgroup": "cgroup charge"}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One finding. ``topic`` is what it is about; ``verdict`` is a comparison's, or ``limit``
    for a ramp's. ``claim`` is the finding alone, ``evidence`` the figures behind it."""

    topic: str
    verdict: str
    claim: str
    evidence: str

    @property
    def text(self) -> str:
        """Claim and evidence in one."""
        if not self.evidence:
            return f"{self.claim}."
        return f"{self.claim}{'.' if self.evidence[0].isupper() else ':'} {self.evidence}"


@dataclass(frozen=True, slots=True)
class _Sides:
    """Two subjects with the lesser first, and how many times the other is as much."""

    lesser: Kind
    greater: Kind
    factor: float
    interval: Interval | None


def start_sentence(row: Compared, result: Result, names: Names) -> Sentence:
    where = _where(row)
    if row.concurrency and row.concurrency > 1:
        where += f" with {row.concurrency} starts in flight"
    if row.ratio is None or row.verdict == "inconclusive":
        return _open(row, "start", where, names, "starts faster")
    sides = _sides(row)
    lesser, greater = names.of(sides.lesser), names.of(sides.greater)
    if row.verdict == "no difference":
        claim = f"{lesser} and {greater} start equally fast"
    elif sides.factor < PERCENT_BELOW:
        claim = (
            f"{lesser} starts in {figures.percent(1 - 1 / sides.factor)} less time than {greater}"
        )
    else:
        claim = f"{lesser} starts {figures.times(sides.factor)} faster than {greater}"
    medians = [_median(result, side, row) for side in (sides.lesser, sides.greater)]
    evidence = f"median {medians[0]} against {medians[1]} ({_evidence(row, sides)})."
    return Sentence("start", row.verdict, f"{where}, {claim}", evidence)


def cost_sentence(row: Compared, result: Result, names: Names) -> Sentence:
    where = _where(row)
    topic = "memory" if row.metric == "footprint.mem_available" else "disk"
    if row.ratio is None or row.verdict == "inconclusive":
        told = _open(row, topic, where, names, HEADLINES[row.metric])
        return replace(told, evidence=told.evidence + _other_views(row, result, names))
    sides = _sides(row)
    bytes_ = [_bytes(result, side, row) for side in (sides.lesser, sides.greater)]
    others = _by_other_estimators(row, result) if topic == "memory" else ""
    proof = f" ({_evidence(row, sides)}{others})" if row.metric != "footprint.disk_base" else ""
    claim = f"{where}, {_cost_claim(row, sides, names)}"
    return Sentence(topic, row.verdict, claim, f"{bytes_[0]} against {bytes_[1]}{proof}.")


def _cost_claim(row: Compared, sides: _Sides, names: Names) -> str:
    lesser, greater = names.of(sides.lesser), names.of(sides.greater)
    what = "memory" if row.metric == "footprint.mem_available" else "disk"
    if row.metric == "footprint.disk_base":
        pair, verb, tail = (f"{lesser}", f"{greater}"), "needs", " disk once for all instances"
    else:
        pair = f"one more {lesser} instance", f"one more {greater}"
        verb, tail = "takes", f" {what}"
    if row.verdict == "no difference":
        return f"{pair[0]} {verb} as much{tail} as {pair[1]}"
    return f"{pair[0]} {verb} {_less(sides.factor)}{tail} than {pair[1]}"


def _less(factor: float) -> str:
    if factor == float("inf"):
        return "less"
    if factor < PERCENT_BELOW:
        return f"{figures.percent(1 - 1 / factor)} less"
    return f"{figures.times(factor)} less"


def _by_other_estimators(row: Compared, result: Result) -> str:
    """The same ratio by the other estimators, so that their disagreement shows."""
    told = []
    for other in comparisons(result, row):
        name = _OTHER_ESTIMATORS.get(other.metric)
        if name and other.ratio and _same_pair(row, other):
            turned = other.ratio if (row.ratio or 0) >= 1 else 1 / other.ratio
            told.append(f"{figures.times(turned)} by {name}")
    return f"; {', '.join(told)}" if told else ""


def _other_views(row: Compared, result: Result, names: Names) -> str:
    """What the other estimators say where the first one leaves it open."""
    told = [
        f"{figures.times(other.ratio)} by {name} ({other.verdict})"
        for other in comparisons(result, row)
        if (name := _OTHER_ESTIMATORS.get(other.metric)) and other.ratio and _same_pair(row, other)
    ]
    if row.metric != "footprint.mem_available" or not told:
        return ""
    pair = f"{names.of(row.candidate)} against {names.of(row.baseline)}"
    return f" Other estimators, {pair}: {', '.join(told)}."


def comparisons(result: Result, row: Compared) -> Sequence[Compared]:
    """All comparisons of the same kind as ``row``: the hosts' own, or those over all hosts."""
    if isinstance(row, MergedComparisonRow):
        return result.merged.comparisons if result.merged else ()
    return result.comparisons


def _same_pair(row: Compared, other: Compared) -> bool:
    return all(
        same_kind(getattr(row, side), getattr(other, side))
        and getattr(getattr(row, side), "host", "") == getattr(getattr(other, side), "host", "")
        for side in ("baseline", "candidate")
    )


def _open(row: Compared, topic: str, where: str, names: Names, claim: str) -> Sentence:
    baseline, candidate = names.of(row.baseline), names.of(row.candidate)
    ratio = ""
    if row.ratio is not None:
        span = f", 95 % interval {figures.times_span(row.ci)}" if row.ci else ""
        ratio = f" Seen: {candidate} at {figures.times(row.ratio)} of {baseline}{span}."
    whether = f"{where}, it stays open whether {baseline} or {candidate} {claim}"
    return Sentence(topic, row.verdict, whether, f"{row.reason}{ratio}")


def _sides(row: Compared) -> _Sides:
    ratio = row.ratio or 0.0
    if ratio >= 1:
        return _Sides(row.baseline, row.candidate, ratio, row.ci)
    inverted = None
    if row.ci and row.ci[0] > 0:
        inverted = (1 / row.ci[1], 1 / row.ci[0])
    factor = 1 / ratio if ratio > 0 else float("inf")
    return _Sides(row.candidate, row.baseline, factor, inverted)


def _evidence(row: Compared, sides: _Sides) -> str:
    counts = (row.n_baseline, row.n_candidate)
    if sides.lesser is row.candidate:
        counts = counts[::-1]
    span = _span(row, sides) if sides.interval else ""
    interval = f"95 % interval {span}, " if "–" in span or " to " in span else ""
    return f"{interval}n = {counts[0]} and {counts[1]}"


def _span(row: Compared, sides: _Sides) -> str:
    low, high = sides.interval or (1.0, 1.0)
    if row.verdict == "no difference" or sides.factor >= PERCENT_BELOW or low <= 0:
        return figures.times_span((low, high))
    return figures.percent_span((1 - 1 / low, 1 - 1 / high))


def _median(result: Result, side: Kind, row: Compared) -> str:
    for start in _rows(row, side, result.startup, result.merged.startup if result.merged else ()):
        if start.phase == "total" and start.concurrency == row.concurrency:
            return figures.seconds(start.p50_seconds)
    return figures.NOTHING


def _bytes(result: Result, side: Kind, row: Compared) -> str:
    for cost in _rows(
        row, side, result.footprint, result.merged.footprint if result.merged else ()
    ):
        if row.metric == f"footprint.{cost.estimator}":
            return figures.size(cost.bytes_per_instance)
    return figures.NOTHING


def _rows(
    row: Compared, side: Kind, own: Iterable[Own], over: Iterable[Over]
) -> Iterator[Own | Over]:
    """The rows of one side: its host's, or those over all hosts."""
    if isinstance(row, MergedComparisonRow):
        yield from (each for each in over if same_kind(each, side))
    elif isinstance(side, Subject):
        yield from (each for each in own if same_subject(each, side))


def _where(row: Compared) -> str:
    if isinstance(row, MergedComparisonRow):
        return f"Over {row.hosts} hosts"
    return f"On host {row.baseline.host}"
