"""The copy itself: every table, then all of them once more to compare."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Table

from collector.errors import StoreError
from collector.stores.moving.base import TABLES, Destination, End, Source, Sum, Summing

# What is under way ("copying", "comparing"), the table, and how many of its rows are done.
Progress = Callable[[str, str, int], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """A table that is the same in both stores."""

    table: str
    rows: int
    sha256: str


async def copy_store(source: End, destination: End, progress: Progress) -> Sequence[Copied]:
    """Copy a whole history into a new store; what was copied, verified.

    Raises ``StoreUnusable`` before anything is done when one of them cannot be used, and
    ``StoreError`` when the copy differs. Then, as after any failure, the destination has no
    rows.
    """
    async with source.source() as old, destination.destination() as new:
        sums = {table: await _copy(old, new, table, progress) for table in TABLES}
        for table in TABLES:
            there = await _sum(new, table, progress)
            if there != sums[table]:
                raise _differs(table, sums[table], there)
        await new.finish()
    return [Copied(table.name, each.rows, each.sha256) for table, each in sums.items()]


async def _copy(old: Source, new: Destination, table: Table, progress: Progress) -> Sum:
    summing = Summing(table)
    async for rows in old.rows(table):
        await new.add(table, await asyncio.to_thread(summing.add, rows))
        progress("copying", table.name, summing.rows)
    return summing.sum


async def _sum(new: Source, table: Table, progress: Progress) -> Sum:
    summing = Summing(table)
    async for rows in new.rows(table):
        await asyncio.to_thread(summing.add, rows)
        progress("comparing", table.name, summing.rows)
    return summing.sum


def _differs(table: Table, ours: Sum, theirs: Sum) -> StoreError:
    return StoreError(
        f"the copy of the table {table.name} is not what was read: {ours.rows} rows with the"
        f" SHA-256 {ours.sha256[:12]}… became {theirs.rows} with {theirs.sha256[:12]}…",
        field="destination",
        remedy="Nothing was kept of it, and the source is as it was; this is a defect of Tonnage"
        " or of the destination.",
    )
