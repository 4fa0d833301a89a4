"""The findings over several hosts in plain English."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from collector.reports import figures
from collector.reports.comparing import HEADLINES, Sentence, cost_sentence, start_sentence
from collector.reports.merged import MergedComparisonRow, MergedDensityRow
from collector.reports.model import Result
from collector.reports.names import Names

_DIFFERENCES = frozenset({"faster", "slower", "smaller", "larger"})


def overall(result: Result, names: Names) -> list[Sentence]:
    """What was found over all hosts; nothing for a run on one."""
    if result.merged is None:
        return []
    compared = [row for row in result.merged.comparisons if row.hosts]
    return [
        *(_told(row, result, names) for row in compared if row.metric == "startup.total"),
        *_limits(result.merged.density, names),
        *(_told(row, result, names) for row in compared if row.metric in HEADLINES),
    ]


def _told(row: MergedComparisonRow, result: Result, names: Names) -> Sentence:
    """One comparison: judged over the hosts, or where they are too few, what each says."""
    if row.ci is None and row.ratio is not None:
        return _each(row, names)
    say = start_sentence if row.metric == "startup.total" else cost_sentence
    sentence = say(row, result, names)
    own = row.host_verdicts.get(row.verdict, 0)
    if row.verdict not in _DIFFERENCES or row.host_ratios is None:
        return sentence
    who = "Each host" if own == row.hosts else f"{own} of {row.hosts} hosts"
    verb = "say" if 1 < own < row.hosts or not own else "says"
    alone = f" {who} alone {verb} the same; their ratios: "
    spread = figures.times_span(row.host_ratios)
    pair = f" ({names.of(row.candidate)} / {names.of(row.baseline)})"
    return replace(sentence, evidence=f"{sentence.evidence}{alone}{spread}{pair}.")


def _each(row: MergedComparisonRow, names: Names) -> Sentence:
    """Hosts too few to be merged: whether they agree."""
    topic = _topic(row)
    baseline, candidate = names.of(row.baseline), names.of(row.candidate)
    level = row.concurrency or 1
    flight = f" with {level} starts in flight" if level > 1 else ""
    whose = "Its ratio" if row.hosts == 1 else "Their ratios"
    seen = f"{whose} ({candidate} / {baseline}): {figures.times_span(row.host_ratios)}."
    hosts = sum(row.host_verdicts.values())
    decided = [verdict for verdict in row.host_verdicts if verdict != "inconclusive"]
    if len(decided) < 2:
        verdict = decided[0] if decided else "inconclusive"
        said = _claim(verdict, row.metric, candidate, baseline)
        n = row.host_verdicts.get(verdict, 0)
        if n < hosts:
            claim = f"On {n} of {hosts} hosts{flight}, {said}; on the rest it stays open"
            return Sentence(topic, "inconclusive", claim, seen)
        where = f"each of {hosts} hosts" if hosts > 1 else "the one host that measured both"
        return Sentence(topic, verdict, f"On {where}{flight}, {said}", seen)
    listed = ", ".join(f"{verdict} on {n}" for verdict, n in row.host_verdicts.items())
    claim = f"The hosts do not agree how {candidate} compares with {baseline}{flight} ({topic})"
    return Sentence(topic, "inconclusive", claim, f"{listed[:1].upper()}{listed[1:]}. {seen}")


def _topic(row: MergedComparisonRow) -> str:
    if row.metric == "startup.total":
        return "start"
    return "memory" if row.metric == "footprint.mem_available" else "disk"


def _claim(verdict: str, metric: str, candidate: str, baseline: str) -> str:
    if metric == "startup.total":
        if verdict == "no difference":
            return f"{candidate} and {baseline} start equally fast"
        if verdict == "inconclusive":
            return f"it stays open whether {baseline} or {candidate} starts faster"
        return f"{candidate} starts {verdict} than {baseline}"
    what = HEADLINES[metric]
    if verdict == "no difference":
        return f"neither {baseline} nor {candidate} {what}"
    if verdict == "inconclusive":
        return f"it stays open whether {baseline} or {candidate} {what}"
    lesser, greater = (candidate, baseline) if verdict == "smaller" else (baseline, candidate)
    return f"{lesser} {what} than {greater}"


def _limits(rows: list[MergedDensityRow], names: Names) -> Iterator[Sentence]:
    for row in rows:
        who = names.of(row)
        if row.instances is None or row.host_instances is None:
            claim = f"On no host did the ramp of {who} come to its end"
            yield Sentence("density", "limit", claim, "")
            continue
        least, median, most = row.host_instances
        short = "at least " if row.hosts_at_least else ""
        each = f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}, median {median:g}"
        claim = (
            f"{row.hosts} hosts carry {short}{row.instances} {who} instances in all, {each} each"
        )
        if row.hosts == 1:
            claim = f"The one host that was filled carries {short}{row.instances} {who} instances"
        yield Sentence("density", "limit", claim, _sure(row))


def _sure(row: MergedDensityRow) -> str:
    if row.ci and row.ci[0] < row.ci[1]:
        return f"95 % interval for as many hosts like these: {figures.counts_span(row.ci)}."
    if row.hosts_at_least:
        if row.hosts == 1:
            return "The ramp was cut short, so it may carry more."
        which = "all" if row.hosts_at_least == row.hosts else str(row.hosts_at_least)
        return f"On {which} of them the ramp was cut short, so they may carry more."
    return ""
