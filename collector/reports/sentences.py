"""The verdicts in plain English, with their numbers."""

from __future__ import annotations

from collector.reports import figures
from collector.reports.by_host import HOSTS_APART
from collector.reports.churned import churn_sentences
from collector.reports.comparing import HEADLINES, Sentence, cost_sentence, start_sentence
from collector.reports.isolated import isolation_sentences
from collector.reports.memory_floors import memory_floor_sentences
from collector.reports.model import DensityRow, Result
from collector.reports.names import Names
from collector.reports.overall import overall

_NO_LIMIT = frozenset({"max_instances", "time_limit", "cancelled"})
_ENDS = {
    "memory_budget": "the next step took more memory than the experiment allows",
    "memory_limit": "one more does not fit under the hard memory limit",
    "memory_headroom": "the next step left too little memory free",
    "slo_ready": "with more, a new instance takes too long to start",
    "slo_pressure": "with more, the host is under too much pressure",
    "launch_failed": "the next one could not be launched",
    "instances_died": "with more, not every instance lives and answers",
    "max_instances": "the experiment asked for no more",
    "time_limit": "there was no time for more",
    "cancelled": "then it was cancelled",
}


def sentences(result: Result) -> list[Sentence]:
    """The findings of a run: start-up, then how many fit, then what each costs,
    then what each sees.

    Of several hosts first what holds over all of them.
    """
    names = Names(result)
    first = overall(result, names)
    if len(result.hosts) > HOSTS_APART:
        return first
    told = [row for row in result.comparisons if row.n_baseline or row.n_candidate]
    return [
        *first,
        *(start_sentence(row, result, names) for row in told if row.metric == "startup.total"),
        *(_limit(row, names) for row in result.density),
        *(cost_sentence(row, result, names) for row in told if row.metric in HEADLINES),
        *churn_sentences(result.churn, names),
        *isolation_sentences(result.isolation, names),
        *memory_floor_sentences(result.memory_floor, names),
    ]


def _limit(row: DensityRow, names: Names) -> Sentence:
    who = names.of(row)
    if row.instances is None:
        claim = f"On host {row.host}, the ramp of {who} did not come to its end"
        return Sentence("density", "limit", claim, forecast(row))
    most = "at least " if row.stop_reason in _NO_LIMIT else ""
    noun = "instance" if row.instances == 1 else "instances"
    within = _within(row)
    claim = f"Host {row.host} carries {most}{row.instances} {who} {noun}{within}"
    return Sentence("density", "limit", claim, f"{ended(row)} {forecast(row)}".rstrip())


def _within(row: DensityRow) -> str:
    """A budget or a limit says what fits into it, not into the host."""
    if row.memory_limit_bytes is not None:
        return f" under a hard memory limit of {figures.binary_size(row.memory_limit_bytes)}"
    return " within the memory budget" if row.stop_reason == "memory_budget" else ""


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
