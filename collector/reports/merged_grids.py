"""Tables over several hosts: merged figures, and every host in one line."""

from __future__ import annotations

from collections.abc import Sequence

from collector.reports import figures
from collector.reports.by_host import Cell, Line, lines
from collector.reports.grid import Column, Grid, right
from collector.reports.merged import Merged, MergedComparisonRow, MergedStartupRow
from collector.reports.model import Result
from collector.reports.names import Names, same_kind
from collector.reports.rows import phases_of

LINES_SHOWN = 100
_SPARE = {"p50": 2, "limit": 3, "memory": 4}
_SUBJECT = Column("subject")
_IN_FLIGHT = right("in flight")
_HOSTS = right("hosts")


def merged_grids(merged: Merged, names: Names) -> list[Grid]:
    """The tables of what was found over all hosts that have rows."""
    grids = (
        _starts(merged.startup, names),
        _phases(merged.startup, names),
        _density(merged, names),
        _footprint(merged, names),
        _comparisons(merged.comparisons, names),
    )
    return [grid for grid in grids if grid.rows]


def _starts(rows: Sequence[MergedStartupRow], names: Names) -> Grid:
    counts = right(
        *("ready", ("failed", 5), ("timed out", 5), ("interrupted", 6), ("cancelled", 7)),
        ("noisy", 4),
    )
    told = right("p50", ("95 % interval", 1), "p95", ("p99", 2), ("hosts' medians", 3))
    return Grid(
        "Over all hosts: start, request to ready",
        (_SUBJECT, *_IN_FLIGHT, *_HOSTS, *counts, *told),
        tuple(
            (
                *(names.of(row), str(row.concurrency), str(row.hosts)),
                f"{row.ready}/{row.requested}",
                *(str(n) for n in (row.failed, row.timed_out, row.interrupted, row.cancelled)),
                str(row.noisy),
                figures.seconds(row.p50_seconds),
                figures.seconds_span(row.p50_ci_seconds),
                figures.seconds(row.p95_seconds),
                figures.seconds(row.p99_seconds),
                figures.seconds_span(row.host_p50_seconds and row.host_p50_seconds[::2]),
            )
            for row in rows
            if row.phase == "total"
        ),
    )


def _phases(rows: Sequence[MergedStartupRow], names: Names) -> Grid:
    phases = phases_of(rows)
    cells = []
    for total in rows:
        if total.phase == "total" and total.n:
            medians: dict[str, float | None] = {
                row.phase: row.p50_seconds
                for row in rows
                if same_kind(row, total) and row.concurrency == total.concurrency
            }
            told = (figures.seconds(medians.get(phase)) for phase in phases)
            cells.append((names.of(total), str(total.concurrency), *told))
    columns = (_SUBJECT, *_IN_FLIGHT, *right(*phases[:-1], (phases[-1], 1)))
    title = "Over all hosts: phases of a start, medians; cpu is CPU time"
    return Grid(title, columns, tuple(cells))


def _density(merged: Merged, names: Names) -> Grid:
    told = right("in all", "95 % interval", "least", "median", "most", ("cut short", 1))
    cells = []
    for row in merged.density:
        least, median, most = row.host_instances or (None, None, None)
        cells.append(
            (
                *(names.of(row), str(row.hosts), _count(row.instances)),
                figures.counts_span(row.ci),
                *(_count(value) for value in (least, median, most)),
                str(row.hosts_at_least),
            )
        )
    return Grid("Over all hosts: how many fit", (_SUBJECT, *_HOSTS, *told), tuple(cells))


def _footprint(merged: Merged, names: Names) -> Grid:
    columns = (
        *(_SUBJECT, Column("estimator"), *_HOSTS),
        *right("median", "95 % interval", ("least and most", 1)),
    )
    return Grid(
        "Over all hosts: cost of one more instance (disk_base: once for all)",
        columns,
        tuple(
            (
                *(names.of(row), row.estimator, str(row.hosts)),
                figures.size(row.bytes_per_instance),
                figures.size_span(row.ci_bytes),
                figures.size_span(row.host_bytes),
            )
            for row in merged.footprint
        ),
    )


def _comparisons(rows: Sequence[MergedComparisonRow], names: Names) -> Grid:
    columns = (
        *(Column("metric"), Column("candidate / baseline"), *_IN_FLIGHT, *_HOSTS),
        *right("ratio", "95 % interval", ("p", 2), ("hosts' ratios", 1)),
        Column("verdict"),
    )
    rows = [row for row in rows if row.hosts]
    pairs = [f"{names.of(row.candidate)} / {names.of(row.baseline)}" for row in rows]
    cells = tuple(
        (
            *(row.metric, pair, _count(row.concurrency), str(row.hosts)),
            *(figures.times(row.ratio), figures.times_span(row.ci), figures.chance(row.p_value)),
            figures.times_span(row.host_ratios),
            verdict_told(row),
        )
        for row, pair in zip(rows, pairs, strict=True)
    )
    if len(set(pairs)) == 1:
        title = f"Over all hosts: ratios, {pairs[0]}"
        return Grid(title, columns, cells).without("candidate / baseline")
    return Grid("Over all hosts: ratios, candidate / baseline", columns, cells)


def verdict_told(row: MergedComparisonRow) -> str:
    """The verdict over the hosts; where they are too few for one, how many found which."""
    if row.ci is not None or not row.host_verdicts:
        return row.verdict
    return ", ".join(f"{n} {verdict}" for verdict, n in row.host_verdicts.items())


def line_grid(result: Result, names: Names) -> Grid:
    """Every host in one line, by the first subject's median; of very many the ends."""
    found = lines(result, names)
    half = LINES_SHOWN // 2
    left_out = len(found) - LINES_SHOWN
    shown = found if left_out <= 0 else [*found[:half], *found[-half:]]
    subjects = [name for _, name in names.all()]
    columns = [Column("host"), Column("state"), *right(("not ready", 1))]
    kept = _measures(found, len(subjects))
    for series, measure in kept:
        columns += right((f"{subjects[series]} {measure}", _SPARE[measure] if series else 0))
    title = "By host, the fastest first"
    if left_out > 0:
        title += f": the first and the last {half}, without the {left_out} between"
    return Grid(title, tuple(columns), tuple(_line(line, kept) for line in shown))


def _measures(found: Sequence[Line], subjects: int) -> list[tuple[int, str]]:
    """Which figures of which subjects any host has."""
    return [
        (series, measure)
        for measure in ("p50", "limit", "memory")
        for series in range(subjects)
        if any(_told(line.cells[series], measure) != figures.NOTHING for line in found)
    ]


def _line(line: Line, kept: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    return (
        line.host.host,
        line.host.state if line.host.measured else f"{line.host.state}, nothing measured",
        f"{line.short}/{line.requested}",
        *(_told(line.cells[series], measure) for series, measure in kept),
    )


def _told(cell: Cell, measure: str) -> str:
    if measure == "p50":
        return figures.seconds(cell.start.p50_seconds if cell.start else None)
    if measure == "limit":
        return _count(cell.limit.instances if cell.limit else None)
    return figures.size(cell.cost.bytes_per_instance if cell.cost else None)


def _count(value: float | None) -> str:
    return figures.NOTHING if value is None else f"{value:g}"
