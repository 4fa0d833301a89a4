"""What every SQL store shares about runs: the questions, and the writes that are rare.

Only the way events come in, and how a connection is had, differ by engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, case, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate, Update

from collector.errors import AmbiguousRun, NoSuchRun
from collector.model import HostRun, Run, RunData
from collector.stores import schema
from collector.stores.sql import rows
from collector.stores.sql.connections import translated
from collector.stores.sql.events import SqlEvents
from collector.stores.sql.owning import SqlOwners
from collector.stores.sql.registry import SqlRegistry
from collector.stores.sql.results import SqlResults
from tonnage.model import Problem, RunState

_OPEN_STATES = (RunState.PENDING.value, RunState.RUNNING.value)
_REOPENABLE = (RunState.PARTIAL.value, RunState.FAILED.value)
_SHOWN = 5


class SqlStore(SqlEvents, SqlResults, SqlOwners, SqlRegistry):
    """A ``Store`` but for ``append`` and ``close``. Runs are here, what their hosts told in
    ``SqlEvents``, what was computed of them in ``SqlResults``, what else is kept in
    ``SqlRegistry``."""

    async def create_run(self, run: Run, hosts: Sequence[HostRun]) -> Run:
        """See ``Store``."""
        rows_of_hosts = await asyncio.to_thread(lambda: [_host_row(host) for host in hosts])

        async def work(connection: AsyncConnection) -> Run:
            earlier = await _by_token(connection, run.request_token)
            if earlier is not None:
                return earlier
            await connection.execute(insert(schema.run), [rows.run_to_row(run)])
            if hosts:
                await connection.execute(insert(schema.host_run), rows_of_hosts)
            return run

        return await self.transact(work)

    async def set_run_state(
        self,
        run_id: str,
        state: RunState,
        *,
        finished_at_unix_ns: int | None,
        problem: Problem | None,
    ) -> None:
        """See ``Store``."""
        table = schema.run
        change = update(table).where(table.c.run_id == run_id, table.c.state.in_(_OPEN_STATES))

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                change.values(
                    state=state.value,
                    finished_at_unix_ns=finished_at_unix_ns,
                    problem_json=rows.problem_to_json(problem),
                )
            )

        await self.transact(work)

    async def set_host_state(
        self, run_id: str, host: str, state: RunState, problem: Problem | None
    ) -> None:
        """See ``Store``."""
        table = schema.host_run
        change = update(table).where(
            table.c.run_id == run_id, table.c.host == host, table.c.state.in_(_OPEN_STATES)
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                change.values(state=state.value, problem_json=rows.problem_to_json(problem))
            )

        await self.transact(work)

    async def request_cancel(self, run_id: str) -> None:
        """See ``Store``."""
        table = schema.run

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                update(table).where(table.c.run_id == run_id).values(cancel_requested=True)
            )

        await self.transact(work)

    async def reopen_run(self, run_id: str) -> Sequence[str]:
        """See ``Store``."""
        table = schema.run
        ended = and_(
            table.c.run_id == run_id,
            table.c.state.in_(_REOPENABLE),
            table.c.raw_removed_at_unix_ns.is_(None),
        )

        async def work(connection: AsyncConnection) -> Sequence[str]:
            if (await connection.execute(select(table.c.run_id).where(ended))).first() is None:
                return ()
            moved = await connection.execute(_reopen_hosts(run_id))
            hosts = sorted(row[0] for row in moved)
            await connection.execute(_drop_skew(run_id, hosts))
            if hosts:
                await connection.execute(
                    update(table)
                    .where(ended)
                    .values(
                        state=RunState.RUNNING.value,
                        finished_at_unix_ns=None,
                        problem_json=None,
                    )
                )
            return tuple(hosts)

        return await self.transact(work)

    async def reopen_host(self, run_id: str, host: str) -> bool:
        """See ``Store``."""
        run, table = schema.run, schema.host_run
        open_run = select(run.c.run_id).where(run.c.run_id == run_id, run.c.state.in_(_OPEN_STATES))
        change = _reopen_hosts(run_id).where(table.c.host == host, open_run.exists())

        async def work(connection: AsyncConnection) -> bool:
            reopened = (await connection.execute(change)).first() is not None
            await connection.execute(_drop_skew(run_id, [host] if reopened else []))
            return reopened

        return await self.transact(work)

    async def set_start_skew(self, run_id: str, seconds: float) -> None:
        """See ``Store``."""
        table = schema.run

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                update(table).where(table.c.run_id == run_id).values(start_skew_seconds=seconds)
            )

        await self.transact(work)

    async def run_by_token(self, token: str) -> Run | None:
        """See ``Store``."""
        with translated():
            async with self.reading() as connection:
                return await _by_token(connection, token)

    async def find_run(self, prefix: str) -> Run:
        """See ``Store``."""
        if not prefix:
            raise _unknown(prefix)
        run_id = schema.run.c.run_id
        found = await self.rows(
            select(schema.run)
            .where(run_id.startswith(prefix, autoescape=True))
            .order_by(run_id)
            .limit(_SHOWN + 1)
        )
        exact = [row for row in found if row["run_id"] == prefix]
        if len(found) > 1 and not exact:
            raise _ambiguous(prefix, [row["run_id"] for row in found])
        if not found:
            raise _unknown(prefix)
        return rows.run_of((exact or found)[0])

    async def list_runs(self, limit: int) -> Sequence[tuple[Run, Sequence[str], int]]:
        """See ``Store``."""
        table, host = schema.run, schema.host_run
        latest = await self.rows(
            select(table)
            .order_by(table.c.started_at_unix_ns.desc(), table.c.run_id.desc())
            .limit(limit)
        )
        ids = [row["run_id"] for row in latest]
        counted = await self.rows(
            select(host.c.run_id, host.c.host, host.c.trials)
            .where(host.c.run_id.in_(ids))
            .order_by(host.c.host)
        )
        of_run: dict[str, dict[str, int]] = {run_id: {} for run_id in ids}
        for count in counted:
            of_run[count["run_id"]][count["host"]] = count["trials"]
        found = [(rows.run_of(row), of_run[row["run_id"]]) for row in latest]
        return tuple((run, tuple(trials), sum(trials.values())) for run, trials in found)

    async def unfinished_runs(self) -> Sequence[Run]:
        """See ``Store``."""
        table = schema.run
        found = await self.rows(
            select(table)
            .where(table.c.state.in_(_OPEN_STATES))
            .order_by(table.c.started_at_unix_ns, table.c.run_id)
        )
        return tuple(rows.run_of(row) for row in found)

    async def load(self, run_id: str) -> RunData:
        """See ``Store``."""
        run = await self.find_run(run_id)
        # First, so that no mark tells of more than what is read after it.
        hosts = tuple(await self.host_runs(run.run_id))
        trials = [row async for batch in self.trials(run.run_id) for row in batch]
        return RunData(
            run=run,
            hosts=hosts,
            trials=tuple(trials),
            facts=tuple(await self.facts(run.run_id)),
        )


def _reopen_hosts(run_id: str) -> ReturningUpdate[Any]:
    """Hosts of which no end is stored go on; those that told nothing yet, from the start."""
    table, fact = schema.host_run, schema.fact
    told_end = select(fact.c.host_run_id).where(
        fact.c.host_run_id == table.c.id, fact.c.kind == "run_finished"
    )
    begun = case((table.c.high_water > 0, RunState.RUNNING.value), else_=RunState.PENDING.value)
    return (
        update(table)
        .where(table.c.run_id == run_id, ~told_end.exists())
        .values(state=begun, problem_json=None)
        .returning(table.c.host)
    )


def _drop_skew(run_id: str, hosts: Sequence[str]) -> Update:
    """No bound holds any more once one of these, which never began, may begin later."""
    run, table, fact = schema.run, schema.host_run, schema.fact
    began = select(fact.c.host_run_id).where(
        fact.c.host_run_id == table.c.id, fact.c.kind == "run_released"
    )
    late = select(table.c.id).where(
        table.c.run_id == run_id, table.c.host.in_(hosts), ~began.exists()
    )
    changed = update(run).where(run.c.run_id == run_id, late.exists())
    return changed.values(start_skew_seconds=None)


def _host_row(host: HostRun) -> dict[str, Any]:
    return {
        "run_id": host.run_id,
        "host": host.host,
        "address": host.address,
        "plan_json": rows.plan_to_json(host.plan),
        "state": host.state.value,
        "high_water": host.high_water,
        "problem_json": rows.problem_to_json(host.problem),
    }


async def _by_token(connection: AsyncConnection, token: str) -> Run | None:
    if not token:
        return None
    query = select(schema.run).where(schema.run.c.request_token == token)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else rows.run_of(row)


def _unknown(prefix: str) -> NoSuchRun:
    return NoSuchRun(
        "no run has this id", field="run", value=prefix, remedy="tonnage runs lists them."
    )


def _ambiguous(prefix: str, ids: list[str]) -> AmbiguousRun:
    more = " and more" if len(ids) > _SHOWN else ""
    return AmbiguousRun(
        f"several runs begin so: {', '.join(ids[:_SHOWN])}{more}",
        field="run",
        value=prefix,
        remedy="Give more of the id.",
    )
