"""What moves a history: two ends, a table at a time, and the sums that prove it whole."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Boolean, Select, Table, Text, collate, select
from sqlalchemy.ext.asyncio import AsyncConnection

from collector.errors import StoreUnusable
from collector.stores.schema import metadata

Row = tuple[Any, ...]
# Rows in memory at once, and of one write.
BATCH = 5_000
# Each after those that it refers to.
TABLES: Sequence[Table] = metadata.sorted_tables


class Source(Protocol):
    """A store that nobody else uses, as it is at one moment."""

    def rows(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        """Every row in the order of its key, values as Python has them, in batches."""


class Destination(Source, Protocol):
    """A new store, of which nothing can be seen until ``finish``."""

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        """Add rows, values in the order of the table's columns."""

    async def finish(self) -> None:
        """Make what was added the store, at a stroke and for good."""


class End(Protocol):
    """A place where a store is, or is to be, of one engine.

    Both raise ``StoreUnusable`` for a store that a collector uses, or of another schema than
    this Tonnage's. Whatever ends the block without ``finish`` leaves an empty destination.
    """

    def source(self) -> AbstractAsyncContextManager[Source]:
        """The store that is there."""

    def destination(self) -> AbstractAsyncContextManager[Destination]:
        """A new store. Raises ``StoreUnusable`` where one has rows."""


@dataclass(frozen=True, slots=True)
class Sum:
    """How many rows, and the SHA-256 over all of them in the order of their key."""

    rows: int
    sha256: str


class Summing:
    """Sums rows, whatever their batches and whichever engine told them."""

    def __init__(self, table: Table) -> None:
        self._flags = tuple(
            place for place, column in enumerate(table.columns) if isinstance(column.type, Boolean)
        )
        self._hash = hashlib.sha256()
        self.rows = 0

    def add(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Count these in and return them as every engine has them: a flag is a ``bool``."""
        if self._flags:
            rows = [self._alike(row) for row in rows]
        self._hash.update("".join([f"{row!r}\n" for row in rows]).encode("utf-8", "surrogatepass"))
        self.rows += len(rows)
        return rows

    @property
    def sum(self) -> Sum:
        """That of all rows so far."""
        return Sum(self.rows, self._hash.hexdigest())

    def _alike(self, row: Row) -> Row:
        values = list(row)
        for place in self._flags:
            values[place] = bool(values[place])
        return tuple(values)


def by_key(table: Table, collation: str = "") -> Select[Any]:
    """Every row of a table by its key; ``collation`` is the one that orders text by its bytes,
    where that is not what an engine does anyway."""
    keys = [
        collate(column, collation) if collation and isinstance(column.type, Text) else column
        for column in table.primary_key.columns
    ]
    return select(table).order_by(*keys)


async def batches(connection: AsyncConnection, query: Select[Any]) -> AsyncIterator[Sequence[Row]]:
    """The rows of an answer, never all in memory."""
    result = await connection.stream(query, execution_options={"yield_per": BATCH})
    async for part in result.partitions(BATCH):
        yield [tuple(row) for row in part]


def in_use(place: str, by: str) -> StoreUnusable:
    """The error for a store that somebody else has open."""
    return StoreUnusable(
        f"{by} uses this store",
        field="store",
        value=place,
        remedy="Stop the collectors of both stores; agents keep what they measure meanwhile.",
    )


def not_empty(place: str, table: Table) -> StoreUnusable:
    """The error for a destination that has rows already."""
    return StoreUnusable(
        f"there is a history already: the table {table.name} has rows",
        field="destination",
        value=place,
        remedy="Name a folder or database that has no store; nothing is ever merged or replaced.",
    )


def other_schema(place: str, found: str | None, ours: str) -> StoreUnusable:
    """The error for a store that this Tonnage would have to migrate, or cannot."""
    told = f"has schema {found}" if found else "is no Tonnage store"
    return StoreUnusable(
        f"what is there {told}, and this Tonnage copies schema {ours} alone",
        field="store",
        value=place,
        remedy="Start a collector of this version on it once, which migrates it; then stop that."
        if found
        else "Name a store that a collector made.",
    )
