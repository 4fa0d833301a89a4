"""How starts and memory fared while instances came and went, in words and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collector.reports import figures
from collector.reports.comparing import Sentence
from collector.reports.grid import Column, Grid, right
from collector.reports.model import ChurnRow
from collector.reports.names import Names


def churn_sentences(rows: Sequence[ChurnRow], names: Names) -> Iterator[Sentence]:
    """What moved over the time of a churn, a sentence a subject."""
    for row in rows:
        who = f"{names.of(row)} on {row.host}"
        if not row.n:
            claim = f"Of {row.requested} replacements of {who}, none became ready"
            yield Sentence("churn", "inconclusive", claim, "")
            continue
        claim = f"{who}: {row.ready} of {row.requested} replacements became ready, {_starts(row)}"
        yield Sentence("churn", row.drift, claim, f"{_memory(row)} {_left(row)}")


def _starts(row: ChurnRow) -> str:
    if row.drift == "no difference":
        return "as fast at the end as at the beginning"
    if row.drift == "inconclusive":
        return "and whether starts changed over the time stays open"
    times = figures.times(row.drift_ratio)
    return f"and starts grew {row.drift} (last third / first third {times})"


def _memory(row: ChurnRow) -> str:
    if row.memory_bytes_per_hour is None:
        return f"Memory in use: {row.memory_reason}."
    rate = f"{figures.size(row.memory_bytes_per_hour)} an hour"
    if row.memory_ci_bytes_per_hour is None:
        return f"Memory in use moved by {rate}, without an interval."
    low, high = row.memory_ci_bytes_per_hour
    span = f"95 % interval {figures.size(low)} to {figures.size(high)}"
    if low <= 0 <= high:
        return f"No drift of memory in use was seen: {rate} ({span})."
    return f"Memory in use moved by {rate} ({span})."


def _left(row: ChurnRow) -> str:
    kept = "" if row.kept_bytes is None else f"; the host kept {figures.size(row.kept_bytes)}"
    if row.not_removed:
        return f"Instances whose removal told of trouble: {row.not_removed}{kept}."
    return f"Every instance was removed{kept}."


def churn_grid(rows: Sequence[ChurnRow], names: Names) -> Grid:
    """One line a subject."""
    return Grid(
        "Churn, due to ready",
        (
            *(Column("host"), Column("subject")),
            *right("ready", "rate", "p50", "p95", ("max", 1), ("late", 2)),
            *right("last / first third", ("95 % interval", 3)),
            *right("memory an hour", ("its interval", 4), ("kept", 5)),
        ),
        tuple(
            (
                *(row.host, names.of(row)),
                f"{row.ready}/{row.requested}",
                f"{row.rate_per_second:g}/s",
                figures.seconds(row.p50_seconds),
                figures.seconds(row.p95_seconds),
                figures.seconds(row.max_seconds),
                figures.seconds(row.late_max_seconds),
                figures.times(row.drift_ratio),
                figures.times_span(row.drift_ci),
                figures.size(row.memory_bytes_per_hour),
                figures.size_span(row.memory_ci_bytes_per_hour),
                figures.size(row.kept_bytes),
            )
            for row in rows
        ),
    )
