"""What hosts told of a run, read back.

Rows are read from JSON in a thread: of a thousand hosts that takes seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, and_, select, true

from collector.model import HostFact, HostRun, TrialRow
from collector.stores import schema
from collector.stores.sql import rows
from collector.stores.sql.connections import SqlConnections, translated
from tonnage.model import Plan, Target

_EDGES = ("run_started", "run_finished")
_Key = tuple[int, int]


class SqlEvents(SqlConnections):
    """The part of a ``RunStore`` that reads hosts, trials and facts."""

    async def host_runs(self, run_id: str, host: str | None = None) -> Sequence[HostRun]:
        """See ``Store``."""
        table, fact = schema.host_run, schema.fact
        meant = and_(table.c.run_id == run_id, true() if host is None else table.c.host == host)
        hosts = await self.rows(select(table).where(meant).order_by(table.c.host))
        edges = await self.rows(
            select(fact.c.host_run_id, fact.c.kind, fact.c.body_json)
            .join(table, table.c.id == fact.c.host_run_id)
            .where(meant, fact.c.kind.in_(_EDGES))
            .order_by(fact.c.sequence)
        )
        with translated():
            return await asyncio.to_thread(_host_runs, hosts, edges)

    async def trials(
        self, run_id: str, batch: int = 1000
    ) -> AsyncGenerator[Sequence[TrialRow], None]:
        """See ``Store``."""
        table = schema.host_run
        plans = await self.rows(
            select(table.c.host, table.c.plan_json).where(table.c.run_id == run_id)
        )
        with translated():
            hosts = await asyncio.to_thread(_targets, plans)
            async with self.reading() as connection:
                result = await connection.stream(_trials_of(run_id))
                last: tuple[_Key, TrialRow] | None = None
                async for part in result.partitions(batch):
                    ready: list[TrialRow] = []
                    for row in part:
                        key = (row[0], row[1])
                        # Of several ends of one trial the last one counts.
                        if last is not None and last[0] != key:
                            ready.append(last[1])
                        last = (key, _trial_row(run_id, row, hosts))
                    if ready:
                        yield ready
                if last is not None:
                    yield [last[1]]

    async def facts(self, run_id: str) -> Sequence[HostFact]:
        """See ``Store``."""
        host, fact = schema.host_run, schema.fact
        found = await self.rows(
            select(host.c.host, fact)
            .join(host, host.c.id == fact.c.host_run_id)
            .where(host.c.run_id == run_id, fact.c.kind.not_in((*_EDGES, "stage_started")))
            .order_by(host.c.host, fact.c.sequence)
        )
        with translated():
            return await asyncio.to_thread(lambda: tuple(map(_fact, found)))


def _trials_of(run_id: str) -> Select[Any]:
    host, trial, run = schema.host_run, schema.trial, schema.run
    # Of trials that are being removed, none is told.
    kept = select(run.c.run_id).where(
        run.c.run_id == run_id, run.c.raw_removed_at_unix_ns.is_(None)
    )
    # Set apart, so that the join hashes or indexes the ends of this run alone.
    end = (
        select(schema.trial_end)
        .join(host, host.c.id == schema.trial_end.c.host_run_id)
        .where(host.c.run_id == run_id)
        .cte("run_end")
        .prefix_with("MATERIALIZED")
    )
    same = and_(
        end.c.host_run_id == trial.c.host_run_id,
        end.c.trial_id == trial.c.trial_id,
        end.c.attempt == trial.c.attempt,
    )
    return (
        select(
            trial.c.host_run_id,
            trial.c.sequence,
            host.c.host,
            *[trial.c[name] for name in rows.TRIAL_FIELDS],
            *[end.c[name] for name in rows.END_FIELDS],
        )
        .join(host, host.c.id == trial.c.host_run_id)
        .outerjoin(end, same)
        .where(host.c.run_id == run_id, kept.exists())
        .order_by(trial.c.host_run_id, trial.c.sequence, end.c.sequence)
    )


def _trial_row(run_id: str, row: Sequence[Any], hosts: dict[str, dict[str, Target]]) -> TrialRow:
    host, split = row[2], 3 + len(rows.TRIAL_FIELDS)
    trial = rows.trial_of(row[3:split])
    return TrialRow(run_id, host, hosts[host][trial.target_id], trial, rows.end_of(row[split:]))


class _Plans(dict[str, Plan]):
    """Plans by their text: hosts that are alike have the same."""

    def __missing__(self, text: str) -> Plan:
        self[text] = rows.plan_of(text)
        return self[text]


def _targets(hosts: Sequence[RowMapping]) -> dict[str, dict[str, Target]]:
    """Each host's targets, by their ids."""
    plans = _Plans()
    return {row["host"]: {t.id: t for t in plans[row["plan_json"]].targets} for row in hosts}


def _host_runs(hosts: Sequence[RowMapping], edges: Sequence[RowMapping]) -> tuple[HostRun, ...]:
    plans, by_host = _Plans(), {(e["host_run_id"], e["kind"]): e["body_json"] for e in edges}

    def edge(row: RowMapping, kind: str) -> Any:
        body = by_host.get((row["id"], kind))
        return None if body is None else rows.fact_of(kind, body)

    return tuple(
        rows.host_run_of(
            row, plans[row["plan_json"]], edge(row, "run_started"), edge(row, "run_finished")
        )
        for row in hosts
    )


def _fact(row: RowMapping) -> HostFact:
    return HostFact(
        host=row["host"],
        sequence=row["sequence"],
        recorded_at_unix_ns=row["recorded_at_unix_ns"],
        fact=rows.fact_of(row["kind"], row["body_json"]),
    )
