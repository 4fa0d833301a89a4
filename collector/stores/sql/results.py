"""What was computed of runs, kept beside their raw rows, and the end of raw rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from collector.model import KeptResult
from collector.stores import schema
from collector.stores.sql.connections import SqlConnections
from tonnage.model import RunState

# Events whose rows are removed in one transaction: others wait some hundredths of a second.
_BATCH = 5_000
_ENDED = tuple(state.value for state in RunState if state.ended)
_events = (
    select(func.coalesce(func.sum(schema.host_run.c.high_water), 0))
    .where(schema.host_run.c.run_id == schema.run.c.run_id)
    .correlate(schema.run)
    .scalar_subquery()
)
_is_kept = and_(
    schema.run_result.c.run_id == schema.run.c.run_id,
    schema.run_result.c.finished_at_unix_ns == schema.run.c.finished_at_unix_ns,
    or_(
        schema.run.c.raw_removed_at_unix_ns.is_not(None),
        schema.run_result.c.events == _events,
    ),
)


class SqlResults(SqlConnections):
    """A ``ResultStore`` but for ``size_bytes``."""

    async def keep_result(self, result: KeptResult) -> bool:
        """See ``ResultStore``."""
        run, table = schema.run, schema.run_result
        ending = select(run.c.run_id).where(
            run.c.run_id == result.run_id,
            run.c.state.in_(_ENDED),
            run.c.finished_at_unix_ns == result.finished_at_unix_ns,
            run.c.raw_removed_at_unix_ns.is_(None),
            _events == result.events,
        )

        async def work(connection: AsyncConnection) -> bool:
            # Locked where an engine can: a run that is being reopened waits, or is waited for.
            if (await connection.execute(ending.with_for_update(of=run))).first() is None:
                return False
            await connection.execute(delete(table).where(table.c.run_id == result.run_id))
            await connection.execute(insert(table).values(asdict(result)))
            return True

        return await self.transact(work)

    async def kept_result(self, run_id: str) -> KeptResult | None:
        """See ``ResultStore``."""
        table = schema.run_result
        found = await self.rows(
            select(table)
            .select_from(table.join(schema.run, _is_kept))
            .where(table.c.run_id == run_id)
        )
        return KeptResult(**found[0]) if found else None

    async def without_result(self, limit: int) -> Sequence[str]:
        """See ``ResultStore``."""
        run = schema.run
        found = await self.rows(
            select(run.c.run_id)
            .select_from(run.outerjoin(schema.run_result, _is_kept))
            .where(run.c.state.in_(_ENDED), schema.run_result.c.run_id.is_(None))
            .order_by(run.c.started_at_unix_ns.desc(), run.c.run_id.desc())
            .limit(limit)
        )
        return tuple(row["run_id"] for row in found)

    async def remove_raw(self, run_id: str, now_unix_ns: int) -> int:
        """See ``ResultStore``."""
        if not await self._mark_removed(run_id, now_unix_ns):
            return 0
        host = schema.host_run
        hosts = await self.rows(select(host.c.id, host.c.high_water).where(host.c.run_id == run_id))
        removed = 0
        for row in hosts:
            for after in range(0, row["high_water"], _BATCH):
                removed += await self._remove_events(row["id"], after)
        return removed

    async def runs_with_raw(self, finished_before_unix_ns: int) -> Sequence[str]:
        """See ``ResultStore``."""
        run = schema.run
        found = await self.rows(
            select(run.c.run_id)
            .where(
                run.c.state.in_(_ENDED),
                run.c.finished_at_unix_ns < finished_before_unix_ns,
                run.c.raw_removed_at_unix_ns.is_(None),
            )
            .order_by(run.c.finished_at_unix_ns, run.c.run_id)
        )
        return tuple(row["run_id"] for row in found)

    async def half_removed(self) -> Sequence[str]:
        """See ``ResultStore``."""
        run, host = schema.run, schema.host_run
        left = [
            select(table.c.host_run_id).where(table.c.host_run_id == host.c.id).exists()
            for table in (schema.trial, schema.trial_end)
        ]
        found = await self.rows(
            select(run.c.run_id)
            .join(host, host.c.run_id == run.c.run_id)
            .where(run.c.raw_removed_at_unix_ns.is_not(None), or_(*left))
            .distinct()
            .order_by(run.c.run_id)
        )
        return tuple(row["run_id"] for row in found)

    async def _mark_removed(self, run_id: str, now_unix_ns: int) -> bool:
        """Let nobody read the run's trials any more; whether they may be removed."""
        run = schema.run
        marked = select(run.c.run_id).where(
            run.c.run_id == run_id, run.c.raw_removed_at_unix_ns.is_not(None)
        )
        mark = (
            update(run)
            .where(run.c.run_id == run_id, run.c.state.in_(_ENDED))
            .where(run.c.raw_removed_at_unix_ns.is_(None))
            .where(select(schema.run_result.c.run_id).where(_is_kept).exists())
            .values(raw_removed_at_unix_ns=now_unix_ns)
        )

        async def work(connection: AsyncConnection) -> bool:
            if (await connection.execute(marked)).first() is not None:
                return True
            return (await connection.execute(mark)).rowcount > 0

        return await self.transact(work)

    async def _remove_events(self, host_run_id: int, after: int) -> int:
        """Remove the trials and ends of one batch of events; how many trials there were."""

        async def work(connection: AsyncConnection) -> int:
            removed = 0
            for table in (schema.trial_end, schema.trial):
                batch = table.c.sequence.between(after + 1, after + _BATCH)
                gone = delete(table).where(table.c.host_run_id == host_run_id, batch)
                removed = (await connection.execute(gone)).rowcount
            return removed

        return await self.transact(work)
