"""The store in a PostgreSQL database, which several collectors may share.

Reads are snapshots (REPEATABLE READ). Writes but appends are SERIALIZABLE, tried again
where they collide; an append locks the row of its mark. ``synchronous_commit`` is on:
an agent forgets what was acknowledged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from collector.stores.postgres.address import without_password
from collector.stores.postgres.appends import Appends
from collector.stores.postgres.border import retried, told
from collector.stores.postgres.opening import engine, prepare
from collector.stores.postgres.ownership import Ownership
from collector.stores.sql.owning import new_name
from collector.stores.sql.runs import SqlStore
from tonnage.v1 import model_pb2

T = TypeVar("T")
_SIZE = text("SELECT pg_database_size(current_database())")


class PostgresStore(SqlStore):
    """See ``Store``. Made by ``open_postgres``."""

    def __init__(
        self, place: str, reader: AsyncEngine, writer: AsyncEngine, ownership: Ownership
    ) -> None:
        self._place = place
        self._reader = reader
        self._writer = writer
        self._appends = Appends(writer)
        self._ownership = ownership

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """See ``SqlStore``."""
        with told(self._place):
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """See ``SqlStore``."""
        async with self._writer.begin() as connection:
            yield connection

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """See ``SqlStore``."""

        async def once() -> T:
            async with self.writing() as connection:
                return await work(connection)

        with told(self._place):
            return await retried(once)

    async def append(self, run_id: str, host: str, events: Sequence[model_pb2.Event]) -> int:
        """See ``Store``."""
        with told(self._place):
            return await self._appends.append((run_id, host), events)

    async def own(self, run_id: str) -> bool:
        """See ``RunStore``."""
        with told(self._place):
            return await self._ownership.own(run_id)

    async def disown(self, run_id: str) -> None:
        """See ``RunStore``."""
        with told(self._place):
            await self._ownership.disown(run_id)

    async def disowned(self, run_id: str) -> None:
        """See ``RunStore``."""
        await self._ownership.lost(run_id)

    async def size_bytes(self) -> int:
        """See ``ResultStore``: the database with all that is in it."""
        async with self.reading() as connection:
            return int((await connection.execute(_SIZE)).scalar_one())

    async def close(self) -> None:
        """See ``Store``."""
        await self._ownership.close()
        await self._reader.dispose()
        await self._writer.dispose()


async def open_postgres(url: str) -> PostgresStore:
    """Open, and if need be make or migrate, the store in the database at ``url``.

    Raises ``StoreUnusable`` or ``StoreTooNew``, and ``StoreError`` when PostgreSQL does
    not answer: that may pass.
    """
    place = without_password(url)
    await prepare(url, place)
    writer = engine(url, "SERIALIZABLE", size=8, overflow=0)
    return PostgresStore(
        place,
        reader=engine(url, "REPEATABLE READ", size=4, overflow=16, readonly=True),
        writer=writer,
        ownership=Ownership(url, new_name(), writer),
    )
