"""Events into PostgreSQL: COPY behind a lock on the row of the mark."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import cast
from weakref import WeakValueDictionary

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from collector.errors import StoreError, UnstorableEvent
from collector.stores import schema
from collector.stores.postgres.border import retried
from collector.stores.postgres.copying import Driver, copy
from collector.stores.sql.batches import (
    Key,
    Place,
    check_contiguous,
    ending,
    never_planned,
    place,
    rows_above,
)
from collector.stores.sql.ingest import Rows
from tonnage.v1 import model_pb2

# The lock on the row holds off others who append to the same run and host until the commit.
_PLACE = """
SELECT id, plan_json, high_water FROM host_run WHERE run_id = $1 AND host = $2 FOR UPDATE
"""
_MARK = "SELECT high_water FROM host_run WHERE id = $1 FOR UPDATE"
_ADVANCE = """
UPDATE host_run SET high_water = $1, trials = trials + $2,
    state = CASE WHEN state = 'pending' THEN 'running' ELSE state END
WHERE id = $3
"""
_FINISH = """
UPDATE host_run SET state = $1, problem_json = $2
WHERE id = $3 AND state IN ('pending', 'running')
"""


class Appends:
    """Takes events in over the connections of ``writer``."""

    def __init__(self, writer: AsyncEngine) -> None:
        self._writer = writer
        self._places: dict[Key, Place] = {}
        # Of one run and host, in the order of the calls: none waits with a connection in hand.
        self._turns: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def append(self, key: Key, events: Sequence[model_pb2.Event]) -> int:
        """See ``RunStore.append``."""
        check_contiguous(events)
        async with self._turns.setdefault(key, asyncio.Lock()):
            try:
                return await retried(partial(self._once, key, events))
            except (
                asyncpg.DataError,
                ValueError,
                OverflowError,
            ) as error:  # beyond what a column holds
                raise UnstorableEvent(f"PostgreSQL cannot hold a value: {error}") from error

    async def _once(self, key: Key, events: Sequence[model_pb2.Event]) -> int:
        async with driven(self._writer) as raw:
            async with raw.transaction(isolation="read_committed"):
                at, mark = await self._locked(raw, key)
                rows = rows_above(mark, events, at)
                if rows.last:
                    await _write(raw, rows)
            # Kept only once it is known to be there for good.
            self._places[key] = at
        if rows.finished is not None:
            self._places.pop(key, None)
        return rows.last or mark

    async def _locked(self, raw: Driver, key: Key) -> tuple[Place, int]:
        """Where events go, and the mark that none but this transaction moves."""
        at = self._places.get(key)
        if at is not None:
            mark = await raw.fetchval(_MARK, at.id)
            if mark is not None:
                return at, mark
        row = await raw.fetchrow(_PLACE, *key)
        if row is None:
            raise never_planned(key)
        return place(row[0], row[1]), row[2]


@asynccontextmanager
async def driven(writer: AsyncEngine) -> AsyncIterator[Driver]:
    """A connection of the driver's own, outside a transaction."""
    async with writer.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        if raw is None:
            raise StoreError("the store was closed")
        try:
            yield cast("Driver", raw)
        except (StoreError, asyncpg.PostgresError):
            raise
        except BaseException:
            # Cut in the middle, perhaps of a BEGIN: nobody knows what state it is in.
            await connection.invalidate()
            raise


async def _write(raw: Driver, rows: Rows) -> None:
    """Rows and mark of one append."""
    for table, values in (
        (schema.trial, rows.trials),
        (schema.trial_end, rows.ends),
        (schema.fact, rows.facts),
    ):
        if values:
            await copy(raw, table, values)
    await raw.execute(_ADVANCE, rows.last, len(rows.trials), rows.host_run_id)
    if rows.finished is not None:
        await raw.execute(_FINISH, *ending(rows), rows.host_run_id)
