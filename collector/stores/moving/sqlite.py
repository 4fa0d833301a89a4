"""A history out of a SQLite file, or into one that appears whole or not at all."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from collector.errors import StoreError
from collector.stores.migrate import migrate, revision_of, schema_revision
from collector.stores.moving.base import (
    TABLES,
    Row,
    batches,
    by_key,
    not_empty,
    other_schema,
)
from collector.stores.sql.connections import translated
from collector.stores.sqlite.appends import driver, insert_into
from collector.stores.sqlite.lock import FolderLock
from collector.stores.sqlite.store import engine, unusable

# What is written is no store before it is synced and has its name.
_READING = ("query_only=ON",)
_DRAFT = ("journal_mode=WAL", "synchronous=OFF")


class SqliteEnd:
    """See ``End``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def source(self) -> AsyncIterator[SqliteRows]:
        """See ``End``."""
        if not self._path.is_file():
            raise unusable(self._path, "there is none")
        with _locked(self._path), translated():
            async with _opened(self._path, _READING) as file, file.connect() as connection:
                await _check_schema(connection, self._path)
                yield SqliteRows(connection)

    @asynccontextmanager
    async def destination(self) -> AsyncIterator[SqliteDraft]:
        """See ``End``."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(self._path.parent, error.strerror or str(error)) from error
        with _locked(self._path), translated():
            if self._path.is_file() and self._path.stat().st_size:
                await _check_empty(self._path)
            draft = self._path.with_name(f"{self._path.name}.copying")
            _remove(draft)
            try:
                async with _opened(draft, _DRAFT) as file, file.connect() as connection:
                    await connection.run_sync(migrate, str(draft))
                    await connection.rollback()
                    with _told(self._path):
                        yield SqliteDraft(connection, draft, self._path)
            finally:
                _remove(draft)


class SqliteRows:
    """See ``Source``."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def rows(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        """See ``Source``."""
        async for rows in batches(self._connection, by_key(table)):
            yield rows


class SqliteDraft(SqliteRows):
    """See ``Destination``."""

    def __init__(self, connection: AsyncConnection, draft: Path, path: Path) -> None:
        super().__init__(connection)
        self._draft = draft
        self._path = path

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        """See ``Destination``."""
        raw = await driver(self._connection)
        await raw.execute("BEGIN")
        await raw.executemany(insert_into(table, table.columns.keys()), rows)
        await raw.commit()

    async def finish(self) -> None:
        """See ``Destination``."""
        await self._connection.rollback()
        raw = await driver(self._connection)
        await raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await asyncio.to_thread(_put_in_place, self._draft, self._path)


def _put_in_place(draft: Path, path: Path) -> None:
    _sync(draft)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    draft.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _remove(draft: Path) -> None:
    """Remove what a copy that was cut off left."""
    for suffix in ("", "-wal", "-shm"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the driver itself raises is most often that the disk is full."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"the copy cannot be written: {error}",
            field="destination",
            value=str(path),
            remedy="Make room or name another place, and copy anew; nothing of it was kept.",
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FolderLock(path.with_name(f"{path.name}.lock"))
    try:
        yield
    finally:
        lock.release()


@asynccontextmanager
async def _opened(path: Path, pragmas: Sequence[str]) -> AsyncIterator[AsyncEngine]:
    file = engine(path, size=1, begin="BEGIN", pragmas=pragmas)
    try:
        yield file
    except DBAPIError as error:
        raise unusable(path, str(error.orig)) from error
    finally:
        await file.dispose()


async def _check_schema(connection: AsyncConnection, path: Path) -> None:
    found, ours = await connection.run_sync(revision_of), schema_revision()
    if found != ours:
        raise other_schema(str(path), found, ours)


async def _check_empty(path: Path) -> None:
    """A store without any row may give way."""
    async with _opened(path, _READING) as file, file.connect() as connection:
        await _check_schema(connection, path)
        for table in TABLES:
            if (await connection.execute(table.select().limit(1))).first() is not None:
                raise not_empty(str(path), table)
