"""Which collector drives a run: what is written of it, and the waiting for its loss."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Iterator

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from collector.stores import schema
from collector.stores.sql.connections import SqlConnections


def new_name() -> str:
    """What a collector is called where runs tell their owner: no other has ever had it."""
    return f"{socket.gethostname()}, process {os.getpid()} ({secrets.token_hex(4)})"


class Held:
    """The runs that are owned now."""

    def __init__(self) -> None:
        self._losses: dict[str, asyncio.Event] = {}

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._losses

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._losses))

    def take(self, run_id: str) -> None:
        """A run is owned from now on. Idempotent."""
        self._losses.setdefault(run_id, asyncio.Event())

    def lose(self, *run_ids: str) -> None:
        """Runs are not owned any more. Idempotent."""
        for run_id in run_ids:
            loss = self._losses.pop(run_id, None)
            if loss is not None:
                loss.set()

    async def lost(self, run_id: str) -> None:
        """Return once the run is not owned."""
        loss = self._losses.get(run_id)
        if loss is not None:
            await loss.wait()


class SqlOwners(SqlConnections):
    """The rows that tell who drives a run."""

    async def owner(self, run_id: str) -> str | None:
        """See ``RunStore``."""
        table = schema.run_owner
        found = await self.rows(select(table.c.owner).where(table.c.run_id == run_id))
        return str(found[0]["owner"]) if found else None

    async def note_owner(self, run_id: str, owner: str) -> None:
        """Write down who owns the run now."""
        table = schema.run_owner

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(table).where(table.c.run_id == run_id))
            values = {"run_id": run_id, "owner": owner, "since_unix_ns": time.time_ns()}
            await connection.execute(insert(table).values(values))

        await self.transact(work)
