"""The embedded store: one SQLite file, one writer, any number of readers.

``synchronous=FULL``: an agent forgets what was acknowledged, so a commit must
outlive a power cut, not only a crash of the collector.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from collector.errors import StoreUnusable
from collector.stores.migrate import migrate
from collector.stores.sql.owning import Held, new_name
from collector.stores.sql.runs import SqlStore
from collector.stores.sqlite.appends import Appends
from collector.stores.sqlite.lock import FolderLock
from tonnage.v1 import model_pb2

_BUSY_TIMEOUT_SECONDS = 10
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


class SqliteStore(SqlStore):
    """See ``Store``. Made by ``open_sqlite``."""

    def __init__(
        self, path: Path, reader: AsyncEngine, writer: AsyncEngine, lock: FolderLock
    ) -> None:
        self._path = path
        self._reader = reader
        self._writer = writer
        self._lock = lock
        self._turn = asyncio.Lock()
        self._appends = Appends(writer, self._turn)
        self._held = Held()
        self._name = new_name()
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
        return await self._appends.append((run_id, host), events)

    async def own(self, run_id: str) -> bool:
        """See ``RunStore``: the lock on the folder makes every run this collector's."""
        if run_id not in self._held:
            await self.note_owner(run_id, self._name)
            self._held.take(run_id)
        return True

    async def disown(self, run_id: str) -> None:
        """See ``RunStore``."""
        self._held.lose(run_id)

    async def disowned(self, run_id: str) -> None:
        """See ``RunStore``."""
        await self._held.lost(run_id)

    async def size_bytes(self) -> int:
        """See ``ResultStore``: the file and its write-ahead log."""
        return await asyncio.to_thread(self._files_bytes)

    def _files_bytes(self) -> int:
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    async def close(self) -> None:
        """See ``Store``."""
        if self._closed:
            return
        self._closed = True
        self._held.lose(*self._held)
        async with self._turn:
            await self._reader.dispose()
            await self._writer.dispose()
        self._lock.release()


async def open_sqlite(path: Path) -> SqliteStore:
    """Open, and if need be make or migrate, the store in the file ``path``.

    Raises ``StoreUnusable`` or ``StoreTooNew``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise unusable(path.parent, "a file stands where its folder should be") from error
    except OSError as error:
        raise unusable(path.parent, error.strerror or str(error)) from error
    lock = FolderLock(path.with_name(f"{path.name}.lock"))
    try:
        _check_access(path)
    except OSError as error:
        lock.release()
        raise unusable(path, error.strerror or str(error)) from error
    writer = engine(path, size=1, begin="BEGIN IMMEDIATE", pragmas=PRAGMAS)
    reader = engine(path, size=4, begin="BEGIN", pragmas=("query_only=ON",))
    try:
        async with writer.connect() as connection:
            await connection.run_sync(migrate, str(path))
    except DBAPIError as error:
        await writer.dispose()
        lock.release()
        raise unusable(path, str(error.orig)) from error
    except BaseException:
        await writer.dispose()
        lock.release()
        raise
    return SqliteStore(path, reader, writer, lock)


def _check_access(path: Path) -> None:
    """Open the file once, made if need be: the driver's own failure to open one is
    vaguer, and may end in its thread only after the event loop has gone."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))


def engine(path: Path, *, size: int, begin: str, pragmas: Sequence[str]) -> AsyncEngine:
    """Connections to the file, each of which begins transactions with ``begin``."""
    made = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=size,
        max_overflow=16 if size > 1 else 0,
        connect_args={"timeout": _BUSY_TIMEOUT_SECONDS},
    )

    @event.listens_for(made.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(made.sync_engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return made


def unusable(path: Path, why: str) -> StoreUnusable:
    """The error for a file or folder that is of no use."""
    return StoreUnusable(
        f"the store cannot be used: {why}",
        field="store",
        value=str(path),
        remedy="Give a folder that this user may read and write, or another file.",
    )
