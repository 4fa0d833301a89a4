"""What was computed of runs, kept beside their raw rows, and the end of raw rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from collector.model import KeptResult
from collector.stores import schema
from collector.stores.sql.connections import SqlConnections
from tonnage.model import RunState

_ENDED = tuple(state.value for state in RunState if state.ended)
_of_this_ending = and_(
    schema.run_result.c.run_id == schema.run.c.run_id,
    schema.run_result.c.finished_at_unix_ns == schema.run.c.finished_at_unix_ns,
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
        )

        async def work(connection: AsyncConnection) -> bool:
            # Locked where an engine can: a run that is being reopened waits, or is waited for.
            if (await connection.execute(ending.with_for_update())).first() is None:
                return False
            await connection.execute(delete(table).where(table.c.run_id == result.run_id))
            await connection.execute(insert(table).values(asdict(result)))
            return True

        return await self.transact(work)

    async def kept_result(self, run_id: str) -> KeptResult | None:
        """See ``ResultStore``."""
        table = schema.run_result
        found = await self.rows(
            select(table).join(schema.run, _of_this_ending).where(table.c.run_id == run_id)
        )
        return KeptResult(**found[0]) if found else None

    async def without_result(self, limit: int) -> Sequence[str]:
        """See ``ResultStore``."""
        run = schema.run
        found = await self.rows(
            select(run.c.run_id)
            .outerjoin(schema.run_result, _of_this_ending)
            .where(run.c.state.in_(_ENDED), schema.run_result.c.run_id.is_(None))
            .order_by(run.c.started_at_unix_ns.desc(), run.c.run_id.desc())
            .limit(limit)
        )
        return tuple(row["run_id"] for row in found)

    async def remove_raw(self, run_id: str, now_unix_ns: int) -> int:
        """See ``ResultStore``."""
        run, host = schema.run, schema.host_run
        kept = select(schema.run_result.c.run_id).where(_of_this_ending).exists()
        mark = (
            update(run)
            .where(run.c.run_id == run_id, run.c.state.in_(_ENDED), kept)
            .where(run.c.raw_removed_at_unix_ns.is_(None))
            .values(raw_removed_at_unix_ns=now_unix_ns)
        )
        of_run = select(host.c.id).where(host.c.run_id == run_id)

        async def work(connection: AsyncConnection) -> int:
            if not (await connection.execute(mark)).rowcount:
                return 0
            removed = 0
            for table in (schema.trial_end, schema.trial):
                gone = delete(table).where(table.c.host_run_id.in_(of_run))
                removed = (await connection.execute(gone)).rowcount
            return removed

        return await self.transact(work)

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
