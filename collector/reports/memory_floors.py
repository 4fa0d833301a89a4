"""The smallest memory that a subject starts in, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collector.reports import figures
from collector.reports.comparing import Sentence
from collector.reports.model import MemoryFloorRow
from collector.reports.names import Names


def floor_told(row: MemoryFloorRow) -> str:
    """The floor as a size; with a sign where the search's bound is all that is known."""
    if row.floor_bytes is None:
        return figures.NOTHING
    return f"{'≤ ' if row.bounded else ''}{figures.binary_size(row.floor_bytes)}"


def failed_told(row: MemoryFloorRow) -> str:
    """The largest size in which it did not start, if one was found."""
    return figures.NOTHING if row.failed_bytes is None else figures.binary_size(row.failed_bytes)


def memory_floor_sentences(rows: Sequence[MemoryFloorRow], names: Names) -> Iterator[Sentence]:
    """A sentence a subject whose floor was looked for."""
    for row in rows:
        who = f"{names.of(row)} on {row.host}"
        if row.floor_bytes is None:
            why = row.reason or "nothing was told"
            claim = f"The smallest memory that {who} starts in is not known"
            yield Sentence("memory_floor", "inconclusive", claim, f"{why[:1].upper()}{why[1:]}.")
            continue
        claim = f"{who} starts in {floor_told(row)}"
        each = f"{row.launches} of {row.launches} launches became ready there"
        below = (
            f", and not in {failed_told(row)}"
            if row.failed_bytes is not None
            else "; nothing smaller was tried"
        )
        yield Sentence("memory_floor", "limit", claim, f"{each}{below}.")
