"""Reaching a database, and making it a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
from sqlalchemy import NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from collector.errors import StoreError, StoreUnusable
from collector.stores.migrate import migrate
from collector.stores.postgres.border import cause, told

_CONNECT_SECONDS = 10.0
_COMMAND_SECONDS = 300.0
# Drawn once; whoever migrates a store holds it, and whoever copies one.
MIGRATING = 0x746F6E6E616765
_LOCK = text(f"SELECT pg_advisory_lock({MIGRATING})")
_PATIENCE = text("SET lock_timeout = '60s'")
_OLDEST = 120000
_UNUSABLE = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.exceptions.ClientConfigurationError,
)


def engine(
    url: str, isolation: Any, *, size: int, overflow: int, readonly: bool = False
) -> AsyncEngine:
    """Connections to the database, each tried before it is used again."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda *_, **__: connect(url),
        pool_size=size,
        max_overflow=overflow,
        pool_pre_ping=True,
        isolation_level=isolation,
        execution_options={"postgresql_readonly": readonly},
    )


async def connect(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """A connection of the driver's own. A password may come from the address, ``PGPASSWORD``
    or ``PGPASSFILE``."""
    return await asyncpg.connect(
        url,
        timeout=_CONNECT_SECONDS,
        command_timeout=_COMMAND_SECONDS,
        server_settings={"application_name": "tonnage", "timezone": "UTC"},
    )


async def prepare(url: str, place: str) -> None:
    """Make or migrate the store; another collector that starts at once waits.

    ``place`` names it in errors. Raises as ``open_postgres`` does.
    """
    migrating = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda *_, **__: asyncpg.connect(url, timeout=_CONNECT_SECONDS),
        poolclass=NullPool,
    )
    with told(place), refused(place):
        async with migrating.connect() as connection:
            await check(connection, place)
            await connection.execute(_PATIENCE)
            await connection.execute(_LOCK)
            await connection.commit()
            # The lock is the session's, which ends with this connection.
            await connection.run_sync(migrate, place)


async def check(connection: AsyncConnection, place: str) -> None:
    """Raise ``StoreUnusable`` for a database that cannot be a store."""
    version = int((await connection.exec_driver_sql("SHOW server_version_num")).scalar_one())
    encoding = str((await connection.exec_driver_sql("SHOW server_encoding")).scalar_one())
    if version < _OLDEST:
        raise _unusable(
            f"it is PostgreSQL {version // 10000}", place, "Use PostgreSQL 12 or later."
        )
    if encoding != "UTF8":
        remedy = "Create the database with ENCODING 'UTF8' TEMPLATE template0."
        raise _unusable(f"the database's encoding is {encoding}", place, remedy)


@contextmanager
def refused(place: str) -> Iterator[None]:
    """What will not pass by itself is told apart from what may."""
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        why = cause(error)
        if isinstance(why, asyncpg.LockNotAvailableError):
            raise StoreError(
                "another collector is migrating this store",
                field="store",
                value=place,
                remedy="Start this one once the other serves.",
            ) from error
        if isinstance(why, _UNUSABLE):
            raise _unusable(str(why), place) from error
        raise
    except ValueError:  # from reading the address: its words may quote the password
        raise _unusable("the address cannot be read", place) from None


def _unusable(
    why: str,
    place: str,
    remedy: str = "Give postgresql://USER@HOST:PORT/DATABASE of a"
    " database that this user may use; a password belongs in PGPASSWORD or PGPASSFILE.",
) -> StoreUnusable:
    return StoreUnusable(
        f"the store cannot be used: {why}", field="store", value=place, remedy=remedy
    )
