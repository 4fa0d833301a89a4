"""Runs are owned by locks on rows, held by a transaction on a connection of its own.

The locks end with the connection, however that ends. A transaction that stays open for
as long as a run would keep PostgreSQL from tidying up, so it is ended every few seconds
and the locks are taken anew; whoever slips in between owns the run from then on. A
collector that stands still for longer than ``_SILENCE`` loses its connection, and its
runs, to PostgreSQL's own clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from collector.stores.postgres.appends import driven
from collector.stores.postgres.copying import Driver
from collector.stores.sql.owning import Held

_log = structlog.get_logger(__name__)
_RENEW_SECONDS = 10.0
_COMMAND_SECONDS = 10.0
_SILENCE = "60s"
_SETTINGS = {
    "application_name": "tonnage owner",
    "idle_in_transaction_session_timeout": _SILENCE,
    # A host that is gone without a word.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "4",
}
_ROW = """
INSERT INTO run_owner (run_id, owner, since_unix_ns) VALUES ($1, '', 0) ON CONFLICT DO NOTHING
"""
_CLAIM = """
UPDATE run_owner SET owner = $2, since_unix_ns = $3
WHERE run_id IN (SELECT run_id FROM run_owner WHERE run_id = $1 FOR UPDATE SKIP LOCKED)
"""
# With the name: of two who claimed one after the other, only the last takes the lock.
_LOCK = """
SELECT run_id FROM run_owner WHERE run_id = ANY($1::text[]) AND owner = $2
FOR UPDATE SKIP LOCKED
"""
_OWNER = "SELECT owner FROM run_owner WHERE run_id = $1"
_ANEW = "COMMIT; BEGIN"
# How often a lock that nobody means to hold is waited for, and how long each time.
_TRIES = 40
_STRAY_LOCK_SECONDS = 0.05


class Ownership:
    """The runs of one collector, which is called ``name``."""

    def __init__(self, url: str, name: str, writer: AsyncEngine) -> None:
        self._url = url
        self._name = name
        self._writer = writer
        self._held = Held()
        self._turn = asyncio.Lock()
        self._raw: Driver | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def own(self, run_id: str) -> bool:
        """See ``RunStore``."""
        async with self._turn:
            if run_id in self._held:
                return True
            raw = await self._connected()
            # Told to all before it is so: within the transaction of the locks none would see it.
            if not await self._claimed(run_id):
                return False
            if not await self._locked(raw, run_id):
                return False
            self._held.take(run_id)
            return True

    async def disown(self, run_id: str) -> None:
        """See ``RunStore``."""
        async with self._turn:
            if run_id in self._held:
                self._held.lose(run_id)
                await self._renew()

    async def lost(self, run_id: str) -> None:
        """See ``RunStore.disowned``."""
        await self._held.lost(run_id)

    async def close(self) -> None:
        """Let go of all. Idempotent."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None
        async with self._turn:
            raw, self._raw = self._raw, None
            self._held.lose(*self._held)
            if raw is not None:
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await raw.close(timeout=_COMMAND_SECONDS)

    async def _connected(self) -> Driver:
        """The connection, in a transaction."""
        if self._raw is None or self._raw.is_closed():
            raw = await asyncpg.connect(
                self._url,
                timeout=_COMMAND_SECONDS,
                command_timeout=_COMMAND_SECONDS,
                server_settings=_SETTINGS,
            )
            raw.add_termination_listener(self._ended)
            await raw.execute("BEGIN")
            self._raw = raw
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._keep(), name="ownership of runs")
        return self._raw

    async def _claimed(self, run_id: str) -> bool:
        """Whether nobody held the run; it has our name then."""
        async with driven(self._writer) as raw:
            await raw.execute(_ROW, run_id)
            done = await raw.execute(_CLAIM, run_id, self._name, time.time_ns())
        return bool(done == "UPDATE 1")

    async def _locked(self, raw: Driver, run_id: str) -> bool:
        """Take the lock on a run that was claimed, unless another claimed it since.

        PostgreSQL locks a row before it sees that the name is another by now, and keeps
        that lock until the transaction ends. So whoever comes too late ends its own, and
        whoever is named waits until the other has.
        """
        for _ in range(_TRIES):
            if await raw.fetch(_LOCK, [run_id], self._name):
                return True
            await self._renew()
            if self._raw is not raw or await raw.fetchval(_OWNER, run_id) != self._name:
                return False
            await asyncio.sleep(_STRAY_LOCK_SECONDS)
        return False

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            async with self._turn:
                await self._renew()

    async def _renew(self) -> None:
        """End the transaction and take the locks anew; what was not had again is lost."""
        raw = self._raw
        if raw is None or raw.is_closed():
            return
        held: Sequence[str] = [*self._held]
        try:
            await raw.execute(_ANEW)
            had = {row[0] for row in await raw.fetch(_LOCK, held, self._name)} if held else set()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            _log.warning("ownership of runs lost", why=str(error))
            raw.terminate()
            self._ended(raw)
            return
        self._held.lose(*(run_id for run_id in held if run_id not in had))

    def _ended(self, raw: object) -> None:
        """The connection is gone, and with it the locks."""
        if raw is self._raw:
            self._raw = None
            self._held.lose(*self._held)
