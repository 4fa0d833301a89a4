"""Every host in one line: what it says of each subject, for tables of many hosts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import inf

from collector.reports.model import (
    DensityRow,
    FootprintRow,
    HostSummary,
    Result,
    StartupRow,
)
from collector.reports.names import Names

HOSTS_APART = 4
"""So many hosts each have tables, sentences and charts of their own; more share them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one host says of one subject: start at the least concurrency, limit, memory."""

    start: StartupRow | None = None
    limit: DensityRow | None = None
    cost: FootprintRow | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One host; ``cells`` are in the order of ``Names.all``. ``short`` counts measured
    attempts that were never ready, of ``requested``."""

    host: HostSummary
    cells: list[Cell] = field(default_factory=list)
    requested: int = 0
    short: int = 0


def lines(result: Result, names: Names) -> list[Line]:
    """Every host, sorted by the first subject's median start, else its limit, else its cost.

    Hosts that have no such figure come last, by name.
    """
    cells: dict[tuple[str, int], Cell] = {}
    for place, start in _starts(result, names).items():
        cells[place] = Cell(start=start)
    for limit in result.density:
        place = limit.host, names.series(limit)
        cells[place] = replace(cells.get(place, Cell()), limit=limit)
    for cost in result.footprint:
        if cost.estimator == "mem_available":
            place = cost.host, names.series(cost)
            cells[place] = replace(cells.get(place, Cell()), cost=cost)
    requested, ready = _attempts(result.startup)
    count = len(names.all())
    found = [
        Line(
            host,
            [cells.get((host.host, series), Cell()) for series in range(count)],
            requested.get(host.host, 0),
            requested.get(host.host, 0) - ready.get(host.host, 0),
        )
        for host in result.hosts
    ]
    return sorted(found, key=_order)


def _starts(result: Result, names: Names) -> dict[tuple[str, int], StartupRow]:
    """Of each host and subject the total at the least concurrency that was tried."""
    found: dict[tuple[str, int], StartupRow] = {}
    for row in result.startup:
        if row.phase == "total" and row.requested:
            place = row.host, names.series(row)
            known = found.get(place)
            if known is None or row.concurrency < known.concurrency:
                found[place] = row
    return found


def _attempts(rows: Iterable[StartupRow]) -> tuple[dict[str, int], dict[str, int]]:
    requested: dict[str, int] = {}
    ready: dict[str, int] = {}
    for row in rows:
        if row.phase == "total":
            requested[row.host] = requested.get(row.host, 0) + row.requested
            ready[row.host] = ready.get(row.host, 0) + row.ready
    return requested, ready


def _order(line: Line) -> tuple[float, float, float, str]:
    first = line.cells[0] if line.cells else Cell()
    start = first.start.p50_seconds if first.start else None
    limit = first.limit.instances if first.limit else None
    cost = first.cost.bytes_per_instance if first.cost else None
    return (
        inf if start is None else start,
        inf if limit is None else -limit,
        inf if cost is None else cost,
        line.host.host,
    )


def finished(result: Result) -> str:
    """How many of several hosts came to their end: ``2 of 3 hosts``."""
    done = sum(host.state == "finished" for host in result.hosts)
    return f"{done} of {len(result.hosts)} hosts"
