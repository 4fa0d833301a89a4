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
    who = "Each host alone says" if own == row.hosts else f"{own} of {row.hosts} hosts alone say"
    alone = f" {who} the same; their ratios: "
    spread = figures.times_span(row.host_ratios)
    pair = f" ({names.of(row.candidate)} / {names.of(row.baseline)})"
    return replace(sentence, evidence=f"{sentence.evidence}{alone}{spread}{pair}.")


def _each(row: MergedComparisonRow, names: Names) -> Sentence:
    """Hosts too few to be merged: whether they agree."""
    topic = _topic(row)
    baseline, candidate = names.of(row.baseline), names.of(row.candidate)
    level = row.concurrency or 1
    flight = f" with {level} starts in flight" if level > 1 else ""
    verdicts = {verdict: n for verdict, n in row.host_verdicts.items() if n}
    seen = f"Their ratios ({candidate} / {baseline}): {figures.times_span(row.host_ratios)}."
    if len(verdicts) == 1:
        (verdict,) = verdicts
        said = _claim(verdict, row.metric, candidate, baseline)
        claim = f"On each of {row.hosts} hosts{flight}, {said}"
        return Sentence(topic, verdict, claim, seen)
    listed = ", ".join(f"{verdict} on {n}" for verdict, n in verdicts.items())
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
        noun = "host carries" if row.hosts == 1 else "hosts carry"
        claim = f"{row.hosts} {noun} {short}{row.instances} {who} instances in all, {each} each"
        yield Sentence("density", "limit", claim, _sure(row))


def _sure(row: MergedDensityRow) -> str:
    if row.ci and row.ci[0] < row.ci[1]:
        return f"95 % interval for as many hosts like these: {figures.counts_span(row.ci)}."
    if row.hosts_at_least:
        return f"Of {row.hosts_at_least} of them the ramp was cut short, so they may carry more."
    return ""
