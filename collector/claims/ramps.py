"""C4's evidence in words: what each ramp foresaw, found and was bound by, and its guest's size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from collector.claims.classes import MACHINES, class_of
from collector.claims.rules import RULES
from collector.reports import figures
from collector.reports.model import DensityRow, Subject
from collector.reports.rows import MemoryFloorRow

MEBIBYTE = 1 << 20

Ramps = Mapping[int, Mapping[int, DensityRow]]
"""The ramps of one VM, by guest size and hard limit."""


def every(ramps: Ramps) -> list[DensityRow]:
    """All of them, by size and then by limit."""
    return [ramps[size][limit] for size in sorted(ramps) for limit in sorted(ramps[size])]


def ends(ramps: Ramps) -> Iterator[str]:
    """What was foreseen before a ramp got there, what was found, and what ended it."""
    for row in every(ramps):
        where = f"{figures.binary_size(row.memory_bytes)} under "
        where += figures.binary_size(row.memory_limit_bytes or 0)
        found = "no number" if row.instances is None else f"{row.instances}"
        yield f"{row.runtime}, {where}: {_foreseen(row)}, {found} found."
        bound = (row.binding_constraint or "it was not told").rstrip(".")
        yield f"{row.runtime}, {where}, what ended it: {bound}."


def _foreseen(row: DensityRow) -> str:
    if row.forecast_instances is not None:
        return f"{row.forecast_instances:.1f} foreseen at {row.forecast_at_instances}"
    reached = max((step.instances for step in row.steps), default=0)
    return f"no forecast: it ended at {reached} instances, before one was made"


def sizes(ramps: Ramps) -> Iterator[str]:
    """What a larger guest cost, at each limit: a guest need not touch what it was given."""
    for small, large in pairwise(sorted(ramps)):
        for limit in sorted(set(ramps[small]) & set(ramps[large])):
            row, other = ramps[small][limit], ramps[large][limit]
            if row.instances is not None and other.instances is not None:
                told = f"{row.instances} of {figures.binary_size(small)} and {other.instances} of "
                told += f"{figures.binary_size(large)} under {figures.binary_size(limit)}"
                same = ": an idle guest does not touch all it is given"
                yield f"{row.runtime}: {told}{same if row.instances == other.instances else ''}."


def floors(
    searched: Sequence[MemoryFloorRow], ramps: Sequence[tuple[Subject, Ramps]]
) -> Iterator[str]:
    """The least memory that each VM was found to boot in, and its ramps' smallest guest."""
    machines = [row for row in searched if class_of(row) in MACHINES]
    for row in machines:
        yield f"{row.runtime} {_boots(row)}."
    for subject, its in ramps:
        of_it = [row for row in machines if _kind(row) == _kind(subject)]
        told = f"{subject.runtime}: the smallest guest of the ramps has "
        yield f"{told}{figures.binary_size(min(its))}{_above(min(its), of_it)}."


def _boots(row: MemoryFloorRow) -> str:
    if row.floor_bytes is None:
        return f"was searched for the least memory it boots in: {row.reason or 'it was not found'}"
    least = f"boots in {'at most ' if row.bounded else ''}{figures.binary_size(row.floor_bytes)}"
    below = (
        "" if row.failed_bytes is None else f" and not in {figures.binary_size(row.failed_bytes)}"
    )
    return f"{least}{below}, by {row.launches} launches at each size"


def _kind(row: Subject) -> tuple[str, ...]:
    return row.host, row.runtime, row.accelerator, row.variant


def _above(size: int, searched: Sequence[MemoryFloorRow]) -> str:
    least = [row.floor_bytes for row in searched if row.floor_bytes is not None]
    if not least:
        missing = "not found" if searched else "not searched for"
        return f"; the least that it boots in was {missing}"
    above = (size - least[-1]) / MEBIBYTE
    told = f", {above:g} MiB above the least that it boots in"
    if above > RULES["C4"].numbers["margin_mib"]:
        told += ": the smallest that boots is not among the sizes"
    return told
