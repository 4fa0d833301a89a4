"""A result as tables for a terminal, or as plain text where there is none."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from collector.reports import figures
from collector.reports.model import ComparisonRow, DensityRow, FootprintRow, Result, StartupRow
from collector.reports.names import Names, same_subject
from collector.reports.sentences import Sentence, sentences

PHASES = ("accept", "create", "machine", "kernel", "userspace", "total", "cpu")
_MARKS = {
    "faster": ("≠", "green"),
    "slower": ("≠", "green"),
    "smaller": ("≠", "green"),
    "larger": ("≠", "green"),
    "no difference": ("=", "cyan"),
    "inconclusive": ("?", "yellow"),
    "limit": ("#", "blue"),
}


def render(result: Result) -> Group:
    """Verdict sentences, tables and warnings, for any rich console."""
    names = Names(result)
    parts: list[RenderableType] = [_title(result)]
    parts += [_finding(sentence) for sentence in sentences(result)]
    parts.append(Text())
    tables = (
        _starts(result.startup, names),
        _phases(result.startup, names),
        _density(result.density, names),
        _footprint(result.footprint, names),
        _comparisons(result.comparisons, names),
    )
    parts += [table for table in tables if table.row_count]
    parts += [_warning(text) for text in result.warnings]
    return Group(*parts)


def text(result: Result, width: int = 120) -> str:
    """The same as plain text, ``width`` columns wide."""
    out = io.StringIO()
    Console(file=out, width=width, no_color=True, force_terminal=False).print(render(result))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _title(result: Result) -> Text:
    run = result.run
    return Text.assemble((run.name, "bold"), f"  {run.id}  {run.state}\n")


def _finding(sentence: Sentence) -> Table:
    mark, style = _MARKS[sentence.verdict]
    return _bulleted(Text(mark, style=f"bold {style}"), Text(sentence.text))


def _warning(sentence: str) -> Table:
    return _bulleted(Text("!", style="bold yellow"), Text(sentence, style="dim"))


def _bulleted(mark: Text, body: Text) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    grid.add_row(mark, body)
    return grid


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _starts(rows: Sequence[StartupRow], names: Names) -> Table:
    table = _table(
        "Start, request to ready",
        ["host", "subject"],
        ["in flight", "ready", "noisy", "p50", "95 % interval", "p95", "p99", "min", "max"],
    )
    for row in rows:
        if row.phase == "total":
            table.add_row(
                *_cells(row.host, names.of(row), str(row.concurrency)),
                f"{row.ready}/{row.requested}",
                str(row.noisy),
                figures.seconds(row.p50_seconds),
                figures.seconds_span(row.p50_ci_seconds),
                figures.seconds(row.p95_seconds),
                figures.seconds(row.p99_seconds),
                figures.seconds(row.min_seconds),
                figures.seconds(row.max_seconds),
            )
    return table


def _phases(rows: Sequence[StartupRow], names: Names) -> Table:
    table = _table("Phases of a start, medians", ["host", "subject"], ["in flight", *PHASES])
    for total in rows:
        if total.phase == "total" and total.n:
            medians: dict[str, float | None] = {
                row.phase: row.p50_seconds
                for row in rows
                if same_subject(row, total) and row.concurrency == total.concurrency
            }
            table.add_row(
                *_cells(total.host, names.of(total), str(total.concurrency)),
                *(figures.seconds(medians.get(phase)) for phase in PHASES),
            )
    return table


def _density(rows: Sequence[DensityRow], names: Names) -> Table:
    table = _table(
        "Instances a host carries",
        ["host", "subject"],
        ["instances", "forecast", "95 % interval", "made at", "steps", "ended by"],
    )
    for row in rows:
        ends = row.forecast_ci
        table.add_row(
            *_cells(row.host, names.of(row), _count(row.instances)),
            _count(row.forecast_instances),
            f"{ends[0]:.0f}–{ends[1]:.0f}" if ends else figures.NOTHING,
            _count(row.forecast_at_instances),
            str(len(row.steps)),
            row.stop_reason or "not ended",
        )
    return table


def _footprint(rows: Sequence[FootprintRow], names: Names) -> Table:
    table = _table(
        "Cost of one more instance (disk_base: once for all)",
        ["host", "subject", "estimator"],
        ["bytes", "95 % interval", "points"],
    )
    for row in rows:
        table.add_row(
            *_cells(row.host, names.of(row), row.estimator),
            figures.size(row.bytes_per_instance),
            figures.size_span(row.ci_bytes),
            str(row.n_points),
        )
    return table


def _comparisons(rows: Sequence[ComparisonRow], names: Names) -> Table:
    table = _table(
        "Ratios, candidate / baseline",
        ["host", "metric", "candidate / baseline"],
        ["in flight", "ratio", "95 % interval", "p", "n", "verdict"],
    )
    for row in rows:
        pair = f"{names.of(row.candidate)} / {names.of(row.baseline)}"
        table.add_row(
            *_cells(row.baseline.host, row.metric, pair),
            _count(row.concurrency),
            figures.times(row.ratio),
            figures.times_span(row.ci),
            figures.chance(row.p_value),
            f"{row.n_candidate}/{row.n_baseline}",
            row.verdict,
        )
    return table


def _cells(*texts: str) -> list[Text]:
    """Cells that hold names from outside: taken literally, never as rich's markup."""
    return [Text(text) for text in texts]


def _count(value: float | None) -> str:
    return figures.NOTHING if value is None else f"{value:.0f}"
