"""A store with ten million trials: one real run, multiplied by the database itself.

The first run goes in as any does, event by event, and its result is computed and kept. Every
other is a copy of all of its rows under an id of its own, a minute later, its start-up times
shifted. The statements are the same for both engines.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collector.model import RunData
from collector.stores import schema
from collector.stores.open import open_store
from deploy.postgres import query
from tests.runs_kept import keep
from tests.unit.reports.sample import sample_run
from tonnage.model import RunState

TRIALS = int(os.environ.get("TONNAGE_BENCH_TRIALS", "10_000_000"))
_SCALE = 8
_HOSTS = ("h1", "h2")
_MINUTE_NS = 60 * 10**9
_AT_ONCE = 200
_NUMBERS = "WITH RECURSIVE n(k) AS (SELECT {first} UNION ALL SELECT k + 1 FROM n WHERE k < {last})"


@dataclass(frozen=True, slots=True)
class Large:
    """What a large store has: runs, oldest first, and when the first and the last began."""

    runs: tuple[str, ...]
    trials: int
    first_ns: int
    last_ns: int


def template() -> RunData:
    """The run that all others are copies of."""
    made = sample_run(_HOSTS, scale=_SCALE)
    return replace(made, hosts=tuple(replace(host, state=RunState.PENDING) for host in made.hosts))


async def fill(place: str, engine: Callable[[], Callable[[str], None]]) -> Large:
    """Make the store at ``place``, new until now, a large one; ``engine`` gives what runs SQL
    in it."""
    one = template()
    store = await open_store(place)
    try:
        await keep(store, one)
    finally:
        await store.close()
    run = engine()
    copies = -(-TRIALS // len(one.trials)) - 1
    for first in range(1, copies + 1, _AT_ONCE):
        for statement in _copies(one.run.run_id, first, min(first + _AT_ONCE - 1, copies)):
            run(statement)
    began = one.run.started_at_unix_ns
    return Large(
        runs=tuple(_id(one.run.run_id, k) for k in range(copies + 1)),
        trials=(copies + 1) * len(one.trials),
        first_ns=began,
        last_ns=began + copies * _MINUTE_NS,
    )


def into_sqlite(file: Path) -> Callable[[str], None]:
    """Runs statements in the file; what a crash would leave of it is of no interest."""

    def run(statement: str) -> None:
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA temp_store=MEMORY")
            connection.execute(statement)
        connection.close()

    return run


def into_postgres(url: str) -> Callable[[str], None]:
    """Runs statements in the database, whose rows refer to those they were copied with: that is
    not checked row by row, nor is any of it written down for a crash."""
    for table in ("fact", "trial", "trial_end"):
        query(url, f"ALTER TABLE {table} SET UNLOGGED")

    def run(statement: str) -> None:
        query(url, f"SET session_replication_role = replica; {statement}")

    return run


def _id(run_id: str, k: int) -> str:
    return f"{run_id[:-12]}{k:012d}" if k else run_id


def _copies(run_id: str, first: int, last: int) -> Iterator[str]:
    """Statements that add the copies ``first`` to ``last``, parents before children."""
    hosts, later = len(_HOSTS), f"k * {_MINUTE_NS}"
    name = f"'{run_id[:-12]}' || substr(CAST(1000000000000 + k AS text), 2)"
    of_run = {"run_id": name}
    of_host = {"host_run_id": f"host_run_id + k * {hosts}"}
    changes: Sequence[tuple[str, dict[str, str]]] = (
        (
            "run",
            {
                **of_run,
                "name": "name || ' ' || CAST(k % 20 AS text)",
                "started_at_unix_ns": f"started_at_unix_ns + {later}",
                "finished_at_unix_ns": f"finished_at_unix_ns + {later}",
            },
        ),
        ("host_run", {**of_run, "id": f"id + k * {hosts}"}),
        (
            "run_result",
            {
                **of_run,
                "finished_at_unix_ns": f"finished_at_unix_ns + {later}",
                "result_json": f"replace(result_json, '{run_id}', {name})",
            },
        ),
        ("fact", {**of_host, "recorded_at_unix_ns": f"recorded_at_unix_ns + {later}"}),
        (
            "trial",
            {
                **of_host,
                "requested_at_unix_ns": f"requested_at_unix_ns + {later}",
                "ready_ns": "ready_ns + (k * 7919) % 1000000",
            },
        ),
        ("trial_end", of_host),
    )
    for table, changed in changes:
        yield _copy(table, changed, first, last, f"'{run_id}'")


def _copy(table: str, changed: dict[str, str], first: int, last: int, run_id: str) -> str:
    names = schema.metadata.tables[table].columns.keys()
    values = ", ".join(changed.get(name, name) for name in names)
    of = "host_run_id" if "host_run_id" in names else "run_id"
    whose = f"run_id = {run_id}" if of == "run_id" else f"host_run_id <= {len(_HOSTS)}"
    return (
        f"{_NUMBERS.format(first=first, last=last)}"  # noqa: S608 - own names
        f" INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM n CROSS JOIN"
        f" (SELECT * FROM {table} WHERE {whose} ORDER BY {names[0]}, {names[1]} LIMIT 100000) t"
    )
