"""The embedded store: one SQLite file, one writer, any number of readers.

``synchronous=FULL``: an agent forgets what was acknowledged, so a commit must
outlive a power cut, not only a crash of the collector.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import URL, Table, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from collector.errors import SequenceGap, StoreError, StoreUnusable
from collector.model import ended_as
from collector.stores import rows, schema
from collector.stores.connections import translated
from collector.stores.ingest import COLUMNS, Rows
from collector.stores.lock import FolderLock
from collector.stores.migrate import migrate
from collector.stores.sql import SqlStore
from tonnage.v1 import model_pb2

_BUSY_TIMEOUT_SECONDS = 10
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")

# Moves the mark only from where the batch begins: the usual case in one statement.
_ADVANCE = "UPDATE host_run SET high_water = ? WHERE id = ? AND high_water = ?"
_MARK = "SELECT high_water FROM host_run WHERE id = ?"
_FINISH = (
    "UPDATE host_run SET state = ?, problem_json = ? WHERE id = ? AND state IN"
    " ('pending', 'running')"
)
_BEGIN = "UPDATE host_run SET state = 'running' WHERE id = ? AND state = 'pending'"


def _insert(table: Table) -> str:
    names = COLUMNS[table]
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - own names


INSERT_TRIAL = _insert(schema.trial)
INSERT_END = _insert(schema.trial_end)
INSERT_FACT = _insert(schema.fact)


class SqliteStore(SqlStore):
    """See ``Store``. Made by ``open_sqlite``."""

    def __init__(self, reader: AsyncEngine, writer: AsyncEngine, lock: FolderLock) -> None:
        self._reader = reader
        self._writer = writer
        self._lock = lock
        self._turn = asyncio.Lock()
        self._ids: dict[tuple[str, str], int] = {}
        self._closed = False

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """See ``SqlStore``."""
        async with self._reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """See ``SqlStore``."""
        async with self._turn, self._writer.begin() as connection:
            yield connection

    async def append(self, run_id: str, host: str, events: Sequence[model_pb2.Event]) -> int:
        """See ``Store``."""
        _check_contiguous(events)
        with translated():
            async with self._turn, self._writer.connect() as connection:
                pooled = await connection.get_raw_connection()
                raw = pooled.driver_connection
                if raw is None:
                    raise StoreError("the store was closed")
                try:
                    return await self._append(raw, (run_id, host), events)
                except sqlite3.Error as error:
                    raise StoreError(f"the store failed: {error}") from error

    async def close(self) -> None:
        """See ``Store``."""
        if self._closed:
            return
        self._closed = True
        async with self._turn:
            await self._reader.dispose()
            await self._writer.dispose()
        self._lock.release()

    async def _append(
        self, raw: aiosqlite.Connection, key: tuple[str, str], events: Sequence[model_pb2.Event]
    ) -> int:
        host_run_id = await self._host_run_id(raw, key)
        if not events:
            return await _mark(raw, host_run_id)
        batch = Rows(host_run_id, events)
        await raw.execute("BEGIN IMMEDIATE")
        try:
            first, last = events[0].sequence, events[-1].sequence
            moved = await raw.execute(_ADVANCE, (last, host_run_id, first - 1))
            if moved.rowcount == 0:
                mark = await _mark(raw, host_run_id)
                batch = _after(mark, host_run_id, events)
                last = max(mark, last)
                await raw.execute(_ADVANCE, (last, host_run_id, mark))
            await _write(raw, host_run_id, batch)
            await raw.commit()
        except BaseException:
            # Queued behind whatever is still under way in the driver's thread.
            await raw.rollback()
            raise
        return last

    async def _host_run_id(self, raw: aiosqlite.Connection, key: tuple[str, str]) -> int:
        if key not in self._ids:
            query = "SELECT id FROM host_run WHERE run_id = ? AND host = ?"
            async with raw.execute(query, key) as cursor:
                row = await cursor.fetchone()
            if row is None:
                raise StoreError(f"run {key[0]} was never planned for host {key[1]}")
            self._ids[key] = row[0]
        return self._ids[key]


async def open_sqlite(path: Path) -> SqliteStore:
    """Open, and if need be make or migrate, the store in the file ``path``.

    Raises ``StoreUnusable`` or ``StoreTooNew``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise _unusable(path.parent, "a file stands where its folder should be") from error
    except OSError as error:
        raise _unusable(path.parent, error.strerror or str(error)) from error
    lock = FolderLock(path.with_name(f"{path.name}.lock"))
    try:
        _check_access(path)
    except OSError as error:
        lock.release()
        raise _unusable(path, error.strerror or str(error)) from error
    writer = _engine(path, size=1, begin="BEGIN IMMEDIATE", pragmas=PRAGMAS)
    reader = _engine(path, size=4, begin="BEGIN", pragmas=("query_only=ON",))
    try:
        async with writer.connect() as connection:
            await connection.run_sync(migrate, str(path))
    except DBAPIError as error:
        await writer.dispose()
        lock.release()
        raise _unusable(path, str(error.orig)) from error
    except BaseException:
        await writer.dispose()
        lock.release()
        raise
    return SqliteStore(reader, writer, lock)


def _check_access(path: Path) -> None:
    """Open the file once, made if need be: the driver's own failure to open one is
    vaguer, and may end in its thread only after the event loop has gone."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))


async def _write(raw: aiosqlite.Connection, host_run_id: int, batch: Rows) -> None:
    await raw.execute(_BEGIN, (host_run_id,))
    if batch.trials:
        await raw.executemany(INSERT_TRIAL, batch.trials)
    if batch.ends:
        await raw.executemany(INSERT_END, batch.ends)
    if batch.facts:
        await raw.executemany(INSERT_FACT, batch.facts)
    if batch.finished is not None:
        problem = rows.problem_to_json(batch.finished.problem)
        state = ended_as(batch.finished).value
        await raw.execute(_FINISH, (state, problem, host_run_id))


async def _mark(raw: aiosqlite.Connection, host_run_id: int) -> int:
    async with raw.execute(_MARK, (host_run_id,)) as cursor:
        row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


def _after(mark: int, host_run_id: int, events: Sequence[model_pb2.Event]) -> Rows:
    """The rows above the mark; ``SequenceGap`` when the batch begins beyond it."""
    first = events[0].sequence
    if first > mark + 1:
        raise SequenceGap(f"events {mark + 1} to {first - 1} are missing")
    return Rows(host_run_id, events[max(0, mark - first + 1) :])


def _check_contiguous(events: Sequence[model_pb2.Event]) -> None:
    if not events:
        return
    first, last = events[0].sequence, events[-1].sequence
    expected = range(first, first + len(events))
    if (
        first < 1
        or last != expected[-1]
        or any(event.sequence != number for event, number in zip(events, expected, strict=True))
    ):
        raise SequenceGap(f"a batch from {first} to {last} is not contiguous")


def _engine(path: Path, *, size: int, begin: str, pragmas: Sequence[str]) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=size,
        max_overflow=16 if size > 1 else 0,
        connect_args={"timeout": _BUSY_TIMEOUT_SECONDS},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _unusable(path: Path, why: str) -> StoreUnusable:
    return StoreUnusable(
        f"the store cannot be used: {why}",
        field="store",
        value=str(path),
        remedy="Give a folder that this user may read and write, or another file.",
    )
