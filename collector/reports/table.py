"""A result as tables for a terminal, or as plain text where there is none."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.text import Text

from collector.reports import figures
from collector.reports.by_host import HOSTS_APART, finished
from collector.reports.churned import churn_grid
from collector.reports.grid import Column, Grid, right
from collector.reports.isolated import FACETS, seen_told
from collector.reports.layer_grid import layer_grid
from collector.reports.memory_floors import failed_told, floor_told
from collector.reports.merged_grids import line_grid, merged_grids
from collector.reports.model import (
    ComparisonRow,
    DensityRow,
    FootprintRow,
    IsolationRow,
    MemoryFloorRow,
    Result,
    SnapshotRow,
    StartupRow,
)
from collector.reports.names import Names, same_subject
from collector.reports.rows import phases_of
from collector.reports.sentences import sentences

_MARKS = {
    "faster": ("≠", "green"),
    "slower": ("≠", "green"),
    "smaller": ("≠", "green"),
    "larger": ("≠", "green"),
    "no difference": ("=", "cyan"),
    "inconclusive": ("?", "yellow"),
    "limit": ("#", "blue"),
}
_HOST = Column("host")
_SUBJECT = Column("subject")
_HARD_LIMIT = Column("hard limit", right=True, spare=1)
_IN_FLIGHT = Column("in flight", right=True)


def render(result: Result, width: int | None = None) -> Text:
    """Verdict sentences, tables and warnings. Sentences wrap and tables fit at ``width``
    columns; without it each sentence is one line, and no column is left out."""
    lines, told = _title(result), sentences(result)
    if told:
        lines.append(Text())
    for sentence in told:
        mark, style = _MARKS[sentence.verdict]
        lines += _bulleted(mark, style, sentence.text, "", width)
    for grid in _grids(result):
        lines += [Text(), *_styled(grid.lines(width))]
    if result.warnings:
        lines.append(Text())
    for warning in result.warnings:
        lines += _bulleted("!", "yellow", warning, "dim", width)
    return Text("\n", no_wrap=True, overflow="ignore").join(lines)


def text(result: Result, width: int | None = None) -> str:
    """The same as plain text."""
    return render(result, width).plain + "\n"


def _title(result: Result) -> list[Text]:
    run = result.run
    lines = [Text.assemble((run.name, "bold"), f"  {run.id}  {run.state}")]
    told = [f"{finished(result)} finished"] if len(result.hosts) > 1 else []
    if run.start_skew_seconds is not None:
        skew = figures.seconds(run.start_skew_seconds)
        told.append(f"hosts began within {skew} of each other")
    if told:
        lines.append(Text(", ".join(told)))
    return lines


def _bulleted(
    mark: str, mark_style: str, sentence: str, style: str, width: int | None
) -> Iterator[Text]:
    wrapped = [sentence]
    if width is not None:
        wrapped = textwrap.wrap(sentence, max(width - 2, 20), break_on_hyphens=False)
    for number, part in enumerate(wrapped):
        first = (mark, f"bold {mark_style}") if number == 0 else " "
        yield Text.assemble(first, " ", (part, style))


def _styled(lines: Sequence[str]) -> Iterator[Text]:
    """Title and what is left out stand out from the rows."""
    yield Text(lines[0], style="bold")
    for line in lines[1:]:
        aside = line.startswith(("─", "(no room"))
        yield Text(line, style="dim" if aside else "")


def _grids(result: Result) -> list[Grid]:
    """The tables that have rows, without what is the same in every row and says nothing."""
    names = Names(result)
    grids = merged_grids(result.merged, names) if result.merged else []
    grids += [line_grid(result, names)] if len(result.hosts) > HOSTS_APART else _own(result, names)
    needless = []
    if len({row.host for row in result.hosts}) < 2:
        needless.append(_HOST.name)
    if {row.concurrency for row in result.startup} <= {1}:
        needless.append(_IN_FLIGHT.name)
    if all(row.memory_limit_bytes is None for row in result.density):
        needless.append(_HARD_LIMIT.name)
    return [grid.without(*needless) for grid in grids if grid.rows]


def _own(result: Result, names: Names) -> list[Grid]:
    """The tables in which every host has rows of its own."""
    return [
        _starts(result.startup, names),
        _phases(result.startup, names),
        _density(result.density, names),
        _footprint(result.footprint, names),
        churn_grid(result.churn, names),
        layer_grid(result.layers, names),
        _isolation(result.isolation, names),
        _memory_floor(result.memory_floor, names),
        _snapshots(result.snapshots, names),
        _comparisons(result.comparisons, names),
    ]


def _starts(rows: Sequence[StartupRow], names: Names) -> Grid:
    figures_of = right(
        "ready",
        ("noisy", 1),
        "p50",
        ("95 % interval", 2),
        "p95",
        ("p99", 3),
        ("min", 5),
        ("max", 4),
    )
    return Grid(
        "Start, request to ready",
        (_HOST, _SUBJECT, _IN_FLIGHT, *figures_of),
        tuple(
            (
                *(row.host, names.of(row), str(row.concurrency)),
                f"{row.ready}/{row.requested}",
                str(row.noisy),
                figures.seconds(row.p50_seconds),
                figures.seconds_span(row.p50_ci_seconds),
                figures.seconds(row.p95_seconds),
                figures.seconds(row.p99_seconds),
                figures.seconds(row.min_seconds),
                figures.seconds(row.max_seconds),
            )
            for row in rows
            if row.phase == "total" and row.requested
        ),
    )


def _phases(rows: Sequence[StartupRow], names: Names) -> Grid:
    phases = phases_of(rows)
    cells = []
    for total in rows:
        if total.phase == "total" and total.n:
            medians: dict[str, float | None] = {
                row.phase: row.p50_seconds
                for row in rows
                if same_subject(row, total) and row.concurrency == total.concurrency
            }
            told = [figures.seconds(medians.get(phase)) for phase in phases]
            if set(told) == {figures.NOTHING}:
                continue
            cells.append((total.host, names.of(total), str(total.concurrency), *told))
    columns = (_HOST, _SUBJECT, _IN_FLIGHT, *right(*phases[:-1], (phases[-1], 1)))
    return Grid("Phases of a start, medians; cpu is CPU time", columns, tuple(cells))


def _density(rows: Sequence[DensityRow], names: Names) -> Grid:
    return Grid(
        "Instances a host carries",
        (
            *(_HOST, _SUBJECT),
            *right("carries", "forecast", ("95 % interval", 1), ("made at", 2), ("steps", 3)),
            Column("ended by"),
            _HARD_LIMIT,
        ),
        tuple(
            (
                *(row.host, names.of(row), _count(row.instances)),
                _count(row.forecast_instances),
                f"{row.forecast_ci[0]:.0f}–{row.forecast_ci[1]:.0f}"
                if row.forecast_ci
                else figures.NOTHING,
                _count(row.forecast_at_instances),
                str(len(row.steps)),
                (row.stop_reason or "not ended").replace("_", " "),
                _asked(row.memory_limit_bytes),
            )
            for row in rows
        ),
    )


def _asked(size_bytes: int | None) -> str:
    return figures.NOTHING if size_bytes is None else figures.binary_size(size_bytes)


def _footprint(rows: Sequence[FootprintRow], names: Names) -> Grid:
    return Grid(
        "Cost of one more instance (disk_base: once for all)",
        (_HOST, _SUBJECT, Column("estimator"), *right("bytes", "95 % interval", ("points", 1))),
        tuple(
            (
                *(row.host, names.of(row), row.estimator),
                figures.size(row.bytes_per_instance),
                figures.size_span(row.ci_bytes),
                str(row.n_points),
            )
            for row in rows
        ),
    )


def _isolation(rows: Sequence[IsolationRow], names: Names) -> Grid:
    """One line a subject: whose kernel it runs on, and what of a neighbour it sees."""
    return Grid(
        "What an instance sees of its neighbours",
        (
            *(_HOST, _SUBJECT, Column("asked", right=True), Column("kernel")),
            *(Column(facet) for facet in FACETS),
            Column("host sees its workload"),
        ),
        tuple(
            (
                *(row.host, names.of(row), f"{row.answered}/{row.instances}"),
                row.boot_id or row.kernel or "not told",
                *(seen_told(row, facet) for facet in FACETS),
                _of_all(row.host_sees_workload, row.answered),
            )
            for row in rows
        ),
    )


def _memory_floor(rows: Sequence[MemoryFloorRow], names: Names) -> Grid:
    """One line a subject: the smallest memory it started in, and the largest it did not."""
    return Grid(
        "The smallest memory it starts in",
        (
            *(_HOST, _SUBJECT, Column("smallest", right=True)),
            *(Column("did not start in", right=True), Column("launches each", right=True)),
            *(Column("sizes tried", right=True), Column("reason")),
        ),
        tuple(
            (
                *(row.host, names.of(row), floor_told(row), failed_told(row)),
                *(str(row.launches), str(len(row.tried)), row.reason or ""),
            )
            for row in rows
        ),
    )


def _snapshots(rows: Sequence[SnapshotRow], names: Names) -> Grid:
    return Grid(
        "Snapshots that clones were restored from",
        (
            *(_HOST, _SUBJECT, Column("made in", right=True)),
            Column("on disk", right=True),
        ),
        tuple(
            (
                *(row.host, names.of(row), figures.seconds(row.seconds)),
                figures.size(row.state_bytes),
            )
            for row in rows
        ),
    )


def _of_all(seen: int | None, asked: int) -> str:
    if seen is None:
        return figures.NOTHING
    return "yes" if seen == asked else "no" if seen == 0 else f"of {seen} of {asked}"


def _comparisons(rows: Sequence[ComparisonRow], names: Names) -> Grid:
    """One table for all pairs; where there is one pair only, it stands in the title."""
    pairs = [f"{names.of(row.candidate)} / {names.of(row.baseline)}" for row in rows]
    columns = (
        *(_HOST, Column("metric"), Column("candidate / baseline"), _IN_FLIGHT),
        *right("ratio", "95 % interval", ("p", 2), ("n", 1)),
        Column("verdict"),
    )
    cells = tuple(
        (
            *(row.baseline.host, row.metric, pair, _count(row.concurrency)),
            figures.times(row.ratio),
            figures.times_span(row.ci),
            figures.chance(row.p_value),
            f"{row.n_candidate}/{row.n_baseline}",
            row.verdict,
        )
        for row, pair in zip(rows, pairs, strict=True)
        if row.n_candidate or row.n_baseline
    )
    if len(set(pairs)) == 1:
        title = f"Ratios, {pairs[0]}"
        return Grid(title, columns, cells).without("candidate / baseline")
    return Grid("Ratios, candidate / baseline", columns, cells)


def _count(value: float | None) -> str:
    return figures.NOTHING if value is None else f"{value:.0f}"
