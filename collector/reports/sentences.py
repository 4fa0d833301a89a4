"""The verdicts in plain English, with their numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from collector.reports import figures
from collector.reports.model import ComparisonRow, DensityRow, Interval, Result, Subject
from collector.reports.names import Names, same_subject

PERCENT_BELOW = 1.5  # a factor nearer to 1 reads better as a percentage

_HEADLINES = {
    "footprint.mem_available": "costs less memory",
    "footprint.disk_base": "needs less disk once for all",
    "footprint.disk_marginal": "costs less disk for each further instance",
}
_NO_LIMIT = frozenset({"max_instances", "time_limit", "cancelled"})
_ENDS = {
    "memory_budget": "the next step took more memory than the experiment allows",
    "memory_headroom": "the next step left too little memory free",
    "slo_ready": "with more, a new instance takes too long to start",
    "slo_pressure": "with more, the host is under too much pressure",
    "launch_failed": "the next one could not be launched",
    "instances_died": "with more, not every instance lives and answers",
    "max_instances": "the experiment asked for no more",
    "time_limit": "there was no time for more",
    "cancelled": "then it was cancelled",
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

    lesser: Subject
    greater: Subject
    factor: float
    interval: Interval | None


def sentences(result: Result) -> list[Sentence]:
    """The findings of a run: start-up, then how many fit, then what each costs."""
    names = Names(result)
    told = [row for row in result.comparisons if row.n_baseline or row.n_candidate]
    return [
        *(_startup(row, result, names) for row in told if row.metric == "startup.total"),
        *(_limit(row, names) for row in result.density),
        *(_cost(row, result, names) for row in told if row.metric in _HEADLINES),
    ]


def _startup(row: ComparisonRow, result: Result, names: Names) -> Sentence:
    where = f"On host {row.baseline.host}"
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
    medians = [_median(result, side, row.concurrency) for side in (sides.lesser, sides.greater)]
    evidence = f"median {medians[0]} against {medians[1]} ({_evidence(row, sides)})."
    return Sentence("start", row.verdict, f"{where}, {claim}", evidence)


def _limit(row: DensityRow, names: Names) -> Sentence:
    who = names.of(row)
    if row.instances is None:
        claim = f"On host {row.host}, the ramp of {who} did not come to its end"
        return Sentence("density", "limit", claim, forecast(row))
    most = "at least " if row.stop_reason in _NO_LIMIT else ""
    noun = "instance" if row.instances == 1 else "instances"
    # A budget says what fits into it, not into the host.
    within = " within the memory budget" if row.stop_reason == "memory_budget" else ""
    claim = f"Host {row.host} carries {most}{row.instances} {who} {noun}{within}"
    return Sentence("density", "limit", claim, f"{ended(row)} {forecast(row)}".rstrip())


def ended(row: DensityRow) -> str:
    """Why a ramp ended, in one sentence."""
    why = _ENDS.get(row.stop_reason or "", (row.stop_reason or "").replace("_", " "))
    seen = f": {row.binding_constraint}" if row.binding_constraint else ""
    return f"{why[:1].upper()}{why[1:]}{seen}."


def forecast(row: DensityRow) -> str:
    """What was foretold of the limit, and how far off it was, in one sentence; may be empty."""
    if row.forecast_instances is None:
        return ""
    foretold = round(row.forecast_instances)
    span = ""
    if row.forecast_ci:
        span = f" (95 % interval {row.forecast_ci[0]:.0f}–{row.forecast_ci[1]:.0f})"
    text = f"The forecast, made at {row.forecast_at_instances} instances, was {foretold}{span}"
    if row.forecast_error is None or row.instances is None:
        return f"{text}; the ramp did not get far enough to prove it right or wrong."
    off = foretold - row.instances
    if off == 0:
        return f"{text}, and right."
    share = abs(row.forecast_error)
    told = "less than 1 %" if share < 0.01 else figures.percent(share)
    return f"{text}: {abs(off)} too {'many' if off > 0 else 'few'} ({told})."


def _cost(row: ComparisonRow, result: Result, names: Names) -> Sentence:
    where = f"On host {row.baseline.host}"
    topic = "memory" if row.metric == "footprint.mem_available" else "disk"
    if row.ratio is None or row.verdict == "inconclusive":
        told = _open(row, topic, where, names, _HEADLINES[row.metric])
        return replace(told, evidence=told.evidence + _other_views(row, result, names))
    sides = _sides(row)
    bytes_ = [_bytes(result, side, row.metric) for side in (sides.lesser, sides.greater)]
    others = _by_other_estimators(row, result) if topic == "memory" else ""
    proof = f" ({_evidence(row, sides)}{others})" if row.metric != "footprint.disk_base" else ""
    claim = f"{where}, {_cost_claim(row, sides, names)}"
    return Sentence(topic, row.verdict, claim, f"{bytes_[0]} against {bytes_[1]}{proof}.")


def _cost_claim(row: ComparisonRow, sides: _Sides, names: Names) -> str:
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


def _by_other_estimators(row: ComparisonRow, result: Result) -> str:
    """The same ratio by the other estimators, so that their disagreement shows."""
    told = []
    for other in result.comparisons:
        name = _OTHER_ESTIMATORS.get(other.metric)
        if name and other.ratio and _same_pair(row, other):
            turned = other.ratio if (row.ratio or 0) >= 1 else 1 / other.ratio
            told.append(f"{figures.times(turned)} by {name}")
    return f"; {', '.join(told)}" if told else ""


def _other_views(row: ComparisonRow, result: Result, names: Names) -> str:
    """What the other estimators say where the first one leaves it open."""
    told = [
        f"{figures.times(other.ratio)} by {name} ({other.verdict})"
        for other in result.comparisons
        if (name := _OTHER_ESTIMATORS.get(other.metric)) and other.ratio and _same_pair(row, other)
    ]
    if row.metric != "footprint.mem_available" or not told:
        return ""
    pair = f"{names.of(row.candidate)} against {names.of(row.baseline)}"
    return f" Other estimators, {pair}: {', '.join(told)}."


def _same_pair(row: ComparisonRow, other: ComparisonRow) -> bool:
    return same_subject(row.baseline, other.baseline) and same_subject(
        row.candidate, other.candidate
    )


def _open(row: ComparisonRow, topic: str, where: str, names: Names, claim: str) -> Sentence:
    baseline, candidate = names.of(row.baseline), names.of(row.candidate)
    ratio = ""
    if row.ratio is not None:
        span = f", 95 % interval {figures.times_span(row.ci)}" if row.ci else ""
        ratio = f" Seen: {candidate} at {figures.times(row.ratio)} of {baseline}{span}."
    whether = f"{where}, it stays open whether {baseline} or {candidate} {claim}"
    return Sentence(topic, row.verdict, whether, f"{row.reason}{ratio}")


def _sides(row: ComparisonRow) -> _Sides:
    ratio = row.ratio or 0.0
    if ratio >= 1:
        return _Sides(row.baseline, row.candidate, ratio, row.ci)
    inverted = None
    if row.ci and row.ci[0] > 0:
        inverted = (1 / row.ci[1], 1 / row.ci[0])
    factor = 1 / ratio if ratio > 0 else float("inf")
    return _Sides(row.candidate, row.baseline, factor, inverted)


def _evidence(row: ComparisonRow, sides: _Sides) -> str:
    counts = (row.n_baseline, row.n_candidate)
    if sides.lesser is row.candidate:
        counts = counts[::-1]
    span = _span(row, sides) if sides.interval else ""
    interval = f"95 % interval {span}, " if "–" in span or " to " in span else ""
    return f"{interval}n = {counts[0]} and {counts[1]}"


def _span(row: ComparisonRow, sides: _Sides) -> str:
    low, high = sides.interval or (1.0, 1.0)
    if row.verdict == "no difference" or sides.factor >= PERCENT_BELOW or low <= 0:
        return figures.times_span((low, high))
    return f"{(1 - 1 / low) * 100:.0f}–{(1 - 1 / high) * 100:.0f} %"


def _median(result: Result, subject: Subject, concurrency: int | None) -> str:
    for row in result.startup:
        if row.phase == "total" and row.concurrency == concurrency and same_subject(row, subject):
            return figures.seconds(row.p50_seconds)
    return figures.NOTHING


def _bytes(result: Result, subject: Subject, metric: str) -> str:
    for row in result.footprint:
        if metric == f"footprint.{row.estimator}" and same_subject(row, subject):
            return figures.size(row.bytes_per_instance)
    return figures.NOTHING
