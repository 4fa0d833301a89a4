"""A history out of a PostgreSQL database, or into one: all of it in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import asyncpg
from sqlalchemy import NullPool, Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from collector.errors import StoreError
from collector.stores.migrate import migrate, revision_of, schema_revision
from collector.stores.moving.base import (
    TABLES,
    Row,
    batches,
    by_key,
    in_use,
    not_empty,
    other_schema,
)
from collector.stores.postgres.address import without_password
from collector.stores.postgres.border import told
from collector.stores.postgres.copying import Driver, copy
from collector.stores.postgres.opening import MIGRATING, check, refused

_CONNECT_SECONDS = 10.0
_COMMAND_SECONDS = 600.0
_NAME = "tonnage copy"
# No collector that starts gets past this lock as long as a history is copied.
_LOCK = text(f"SELECT pg_try_advisory_lock({MIGRATING})")
# Names of sessions are seen by every role.
_COLLECTORS = text("""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name IN ('tonnage', 'tonnage owner')
""")


class PostgresEnd:
    """See ``End``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._place = without_password(url)

    @asynccontextmanager
    async def source(self) -> AsyncIterator[PostgresRows]:
        """See ``End``."""
        async with self._alone() as connection:
            found, ours = await connection.run_sync(revision_of), schema_revision()
            if found != ours:
                raise other_schema(self._place, found, ours)
            await connection.rollback()
            await connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            yield PostgresRows(connection)

    @asynccontextmanager
    async def destination(self) -> AsyncIterator[PostgresDraft]:
        """See ``End``."""
        async with self._alone() as connection:
            found, ours = await connection.run_sync(revision_of), schema_revision()
            if found not in (None, ours):
                raise other_schema(self._place, found, ours)
            await connection.run_sync(migrate, self._place)
            await connection.rollback()
            # This begins the transaction that what is copied belongs to.
            for table in TABLES:
                if (await connection.execute(table.select().limit(1))).first() is not None:
                    raise not_empty(self._place, table)
            yield PostgresDraft(connection)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[AsyncConnection]:
        """A connection to a database that no collector uses, nor comes to use meanwhile."""
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=self._connect, poolclass=NullPool
        )
        with told(self._place), refused(self._place):
            async with engine.connect() as connection:
                await check(connection, self._place)
                if not (await connection.execute(_LOCK)).scalar_one():
                    raise in_use(self._place, "another copy, or a collector that starts,")
                if (await connection.execute(_COLLECTORS)).scalar_one():
                    raise in_use(self._place, "a collector")
                await connection.commit()
                yield connection

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(
            self._url,
            timeout=_CONNECT_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            server_settings={"application_name": _NAME, "timezone": "UTC"},
        )


class PostgresRows:
    """See ``Source``."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def rows(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        """See ``Source``."""
        async for rows in batches(self._connection, by_key(table, "C")):
            yield rows


class PostgresDraft(PostgresRows):
    """See ``Destination``."""

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        """See ``Destination``."""
        raw = (await self._connection.get_raw_connection()).driver_connection
        if raw is None:
            raise StoreError("the connection to the destination was lost")
        await copy(cast("Driver", raw), table, rows, tuple(table.columns.keys()))

    async def finish(self) -> None:
        """See ``Destination``."""
        for table in TABLES:
            if (column := table.autoincrement_column) is not None:
                await self._connection.execute(text(_next(table.name, column.name)))
        await self._connection.execute(text("ANALYZE"))
        await self._connection.commit()


def _next(table: str, column: str) -> str:
    """The next row gets a number beyond those that were copied."""
    return (
        f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column}))"  # noqa: S608 - own names
        f" FROM {table} HAVING max({column}) IS NOT NULL"
    )
