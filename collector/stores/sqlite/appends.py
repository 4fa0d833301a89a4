"""Events into SQLite: appends that wait for the disk at the same moment share one commit.

A commit waits for the disk, and a thousand hosts that begin at once would wait for it one
after another. Each append keeps its own guarantees: what is wrong with one fails that one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress

import aiosqlite
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from collector.errors import StoreError
from collector.stores import schema
from collector.stores.sql.batches import (
    Key,
    Place,
    check_contiguous,
    ending,
    never_planned,
    place,
    rows_above,
)
from collector.stores.sql.connections import translated
from collector.stores.sql.ingest import COLUMNS, Rows
from tonnage.v1 import model_pb2

# The most that one commit takes; what is beyond waits for the next.
_EVENTS = 8000
_APPENDS = 500

_PLACE = "SELECT id, plan_json FROM host_run WHERE run_id = ? AND host = ?"
_MARKS = "SELECT id, high_water FROM host_run WHERE id IN ({})"
_ADVANCE = "UPDATE host_run SET high_water = ?, trials = trials + ? WHERE id = ?"
_BEGIN = "UPDATE host_run SET state = 'running' WHERE id = ? AND state = 'pending'"
_FINISH = (
    "UPDATE host_run SET state = ?, problem_json = ? WHERE id = ? AND state IN"
    " ('pending', 'running')"
)


def insert_into(table: Table, names: Sequence[str]) -> str:
    """The statement that takes rows whose values are in the order of ``names``."""
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - own names


INSERT_TRIAL = insert_into(schema.trial, COLUMNS[schema.trial])
INSERT_END = insert_into(schema.trial_end, COLUMNS[schema.trial_end])
INSERT_FACT = insert_into(schema.fact, COLUMNS[schema.fact])


class _Append:
    """One call of ``append``: settled once it has a mark or an error."""

    __slots__ = ("error", "events", "key", "mark")

    def __init__(self, key: Key, events: Sequence[model_pb2.Event]) -> None:
        self.key = key
        self.events = events
        self.mark: int | None = None
        self.error: StoreError | None = None

    @property
    def settled(self) -> bool:
        return self.mark is not None or self.error is not None


class Appends:
    """Takes events in through ``writer``, which nobody else uses while ``turn`` is held."""

    def __init__(self, writer: AsyncEngine, turn: asyncio.Lock) -> None:
        self._writer = writer
        self._turn = turn
        self._waiting: deque[_Append] = deque()
        self._places: dict[Key, Place] = {}

    async def append(self, key: Key, events: Sequence[model_pb2.Event]) -> int:
        """See ``RunStore.append``. Whoever's turn comes first commits for all that wait."""
        check_contiguous(events)
        own = _Append(key, events)
        self._waiting.append(own)
        try:
            async with self._turn:
                if not own.settled:
                    await self._commit_some()
        finally:
            if not own.settled:  # cancelled, or failed with the rest
                with suppress(ValueError):
                    self._waiting.remove(own)
        if own.error is not None:
            raise own.error
        if own.mark is None:
            raise StoreError("the store left events as they were")
        return own.mark

    async def _commit_some(self) -> None:
        """Settle the first of those that wait; they wait again when this is cancelled."""
        group = self._first()
        try:
            with translated():
                async with self._writer.connect() as connection:
                    await self._settle(await driver(connection), group)
        except StoreError as error:
            for append in group:
                if not append.settled:
                    append.error = error
        finally:
            self._waiting.extendleft(a for a in reversed(group) if not a.settled)

    def _first(self) -> list[_Append]:
        group = [self._waiting.popleft()]
        events = len(group[0].events)
        while self._waiting and len(group) < _APPENDS:
            events += len(self._waiting[0].events)
            if events > _EVENTS:
                break
            group.append(self._waiting.popleft())
        return group

    async def _settle(self, raw: aiosqlite.Connection, group: Sequence[_Append]) -> None:
        """Commit a group, or where a row of it is refused, each of it alone."""
        try:
            await self._commit(raw, group)
        except sqlite3.OperationalError as error:  # the disk, not the rows
            raise StoreError(f"the store failed: {error}") from error
        except (sqlite3.Error, ValueError, OverflowError) as error:
            if len(group) == 1:
                raise StoreError(f"the store failed: {error}") from error
            for append in group:
                if not append.settled:
                    await self._settle_alone(raw, append)

    async def _settle_alone(self, raw: aiosqlite.Connection, append: _Append) -> None:
        try:
            await self._settle(raw, [append])
        except StoreError as error:
            append.error = error

    async def _commit(self, raw: aiosqlite.Connection, group: Sequence[_Append]) -> None:
        await raw.execute("BEGIN IMMEDIATE")
        try:
            known = [(append, await self._place(raw, append)) for append in group]
            placed = [(append, at) for append, at in known if at is not None]
            marks = await _marks(raw, {at.id for _, at in placed})
            parts: list[tuple[_Append, Rows]] = []
            for append, at in placed:
                if (rows := _above(marks[at.id], append, at)) is not None:
                    marks[at.id] = max(marks[at.id], rows.last)
                    parts.append((append, rows))
            await _write(raw, [rows for _, rows in parts if rows.last])
            await raw.commit()
        except BaseException:
            # Queued behind whatever is still under way in the driver's thread.
            await raw.rollback()
            raise
        for append, rows in parts:
            append.mark = marks[rows.host_run_id]
            if rows.finished is not None:
                self._places.pop(append.key, None)

    async def _place(self, raw: aiosqlite.Connection, append: _Append) -> Place | None:
        """Where an append goes; ``None``, and the append failed, if that is nowhere."""
        if append.key not in self._places:
            async with raw.execute(_PLACE, append.key) as cursor:
                row = await cursor.fetchone()
            if row is None:
                append.error = never_planned(append.key)
                return None
            self._places[append.key] = place(row[0], row[1])
        return self._places[append.key]


async def driver(connection: AsyncConnection) -> aiosqlite.Connection:
    """The connection of the driver's own."""
    raw: aiosqlite.Connection | None = (await connection.get_raw_connection()).driver_connection
    if raw is None:
        raise StoreError("the store was closed")
    return raw


async def _marks(raw: aiosqlite.Connection, ids: Collection[int]) -> dict[int, int]:
    query = _MARKS.format(", ".join("?" * len(ids)))
    async with raw.execute(query, tuple(ids)) as cursor:
        return {row[0]: row[1] for row in await cursor.fetchall()}


def _above(mark: int, append: _Append, at: Place) -> Rows | None:
    """The rows of an append above the mark; ``None``, and the append failed, where they
    begin beyond it or cannot be stored."""
    try:
        return rows_above(mark, append.events, at)
    except StoreError as error:
        append.error = error
        return None


async def _write(raw: aiosqlite.Connection, parts: Sequence[Rows]) -> None:
    """Rows and marks of several appends, each table at a stroke."""
    changes: tuple[tuple[str, list[tuple[object, ...]]], ...] = (
        (_BEGIN, [(rows.host_run_id,) for rows in parts]),
        (INSERT_TRIAL, [row for rows in parts for row in rows.trials]),
        (INSERT_END, [row for rows in parts for row in rows.ends]),
        (INSERT_FACT, [row for rows in parts for row in rows.facts]),
        (_ADVANCE, [(rows.last, len(rows.trials), rows.host_run_id) for rows in parts]),
        (_FINISH, [(*ending(r), r.host_run_id) for r in parts if r.finished is not None]),
    )
    for statement, values in changes:
        if values:
            await raw.executemany(statement, values)
