"""What is the SQLite store's own, beside tests/contracts/test_store.py."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event

from collector.errors import StoreUnusable
from collector.stores import schema
from collector.stores.migrate import migrate, schema_revision
from collector.stores.open import open_store
from collector.stores.sql.ingest import COLUMNS, Rows
from collector.stores.sql.rows import plan_to_json, run_to_row
from tests.runs_made_up import end, numbered, plan, run, trial, whole_run


def _columns(place: Path) -> dict[str, list[tuple[str, str, int]]]:
    with sqlite3.connect(place) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM pragma_table_list")]
        found = {
            table: [
                (row[1], row[2], row[3])
                for row in connection.execute(f"PRAGMA table_info({table})")
            ]
            for table in tables
            if table in schema.metadata.tables
        }
    connection.close()
    return found


async def test_migrations_and_schema_are_in_step(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path))
    await store.close()
    engine = create_engine(f"sqlite:///{tmp_path / 'tonnage.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.metadata) == []
        assert context.get_current_revision() == schema_revision()
    engine.dispose()
    direct = create_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    schema.metadata.create_all(direct)
    direct.dispose()
    assert _columns(tmp_path / "tonnage.db") == _columns(tmp_path / "direct.db")


async def test_a_store_of_the_first_schema_keeps_its_rows(tmp_path: Path) -> None:
    place = tmp_path / "tonnage.db"
    _write_as_r0001(place)
    store = await open_store(str(tmp_path))
    try:
        data = await store.load("r1")
        assert data.run == run()
        assert [row.trial for row in data.trials] == [trial(0), trial(1)]
        assert [row.end for row in data.trials] == [end(0), end(1)]
        assert [host.high_water for host in data.hosts] == [len(whole_run(2))]
        assert data.hosts[0].plan == plan()
        assert [trials for _, _, trials in await store.list_runs(1)] == [2]
        assert await store.known_hosts() == ()
        await store.append("r1", "h1", numbered([end(1, interrupted=True)], len(whole_run(2)) + 1))
        last = (await store.load("r1")).trials[-1].end
        assert last == end(1, interrupted=True)
    finally:
        await store.close()


def _write_as_r0001(place: Path) -> None:
    """A store as the first release left it: nine events of one host."""
    config = Config()
    config.set_main_option("script_location", "collector:stores/migrations")
    engine = create_engine(f"sqlite:///{place}")
    with engine.connect() as migrating:
        config.attributes["connection"] = migrating
        command.upgrade(config, "r0001")
    engine.dispose()
    new = {"start_skew_seconds", "interrupted", "raw_removed_at_unix_ns"}
    new |= {"cold_bytes", "cold_cached_bytes", "restored_ns", "guest_root", "unit_ns"}
    batch = Rows(1, whole_run(2))
    with sqlite3.connect(place) as connection:
        _insert(connection, "run", {**run_to_row(run()), "request_token": None}, new)
        host = {"id": 1, "run_id": "r1", "host": "h1", "address": "127.0.0.1:1"}
        rest = {"plan_json": plan_to_json(plan()), "state": "finished", "high_water": 9}
        _insert(connection, "host_run", {**host, **rest}, new)
        for table, rows in (
            (schema.trial, batch.trials),
            (schema.trial_end, batch.ends),
            (schema.fact, batch.facts),
        ):
            for row in rows:
                values = dict(zip(COLUMNS[table], row, strict=True))
                _insert(connection, table.name, values, new)
    connection.close()


def _insert(
    connection: sqlite3.Connection, table: str, values: dict[str, Any], without: set[str]
) -> None:
    """Insert ``values`` but for the columns that a store of the first schema had not."""
    kept = {name: value for name, value in values.items() if name not in without}
    marks = ", ".join("?" * len(kept))
    statement = f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({marks})"  # noqa: S608 - own names
    connection.execute(statement, tuple(kept.values()))


async def test_tables_are_strict_and_commits_outlive_a_power_cut(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path))
    try:
        with sqlite3.connect(tmp_path / "tonnage.db") as connection:
            strict = dict(connection.execute("SELECT name, strict FROM pragma_table_list"))
            assert all(strict[name] for name in schema.metadata.tables)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()
        async with store.writing() as writer:  # type: ignore[attr-defined]  # the SQL store's own
            for pragma, value in (("synchronous", 2), ("foreign_keys", 1)):
                found = await writer.exec_driver_sql(f"PRAGMA {pragma}")
                assert found.scalar() == value
    finally:
        await store.close()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'tonnage.db'}", isolation_level="AUTOCOMMIT")
    with engine.connect() as plain:
        plain.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
    engine.dispose()
    engine = create_engine(f"sqlite:///{tmp_path / 'tonnage.db'}")

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: object) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # type: ignore[attr-defined]  # untyped hook

    @event.listens_for(engine, "before_cursor_execute")
    def fail(*details: object) -> None:
        if "CREATE TABLE fact" in str(details[2]):
            raise RuntimeError("the disk is full")

    with engine.connect() as connection, pytest.raises(RuntimeError):
        migrate(connection, "here")
    engine.dispose()
    assert _columns(tmp_path / "tonnage.db") == {}


async def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "tonnage.db") as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(StoreUnusable, match="not a Tonnage store: it holds recipes"):
        await open_store(str(tmp_path))
    assert _columns(tmp_path / "tonnage.db") == {}


async def test_a_store_of_a_pre_release_is_told_with_a_way_out(tmp_path: Path) -> None:
    await (await open_store(str(tmp_path))).close()
    with sqlite3.connect(tmp_path / "tonnage.db") as connection:
        connection.execute("ALTER TABLE trial DROP COLUMN fill")
        connection.execute("DROP TABLE fact")
    connection.close()
    with pytest.raises(StoreUnusable, match=r"lacks fact, trial\.fill \(got") as refused:
        await open_store(str(tmp_path))
    assert refused.value.exit_code == 2
    assert "Name another folder" in refused.value.problem.remedy


async def test_an_address_names_its_file(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/a%20b/runs.db")
    await store.close()
    assert (tmp_path / "a b" / "runs.db").exists()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("mysql://h/db", "no store of the kind mysql"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite://host/file", "names no file"),
        ("sqlite:///srv/tonnage.db", "names no absolute path"),
        ("sqlite:///./tonnage.db", "names no absolute path"),
        ("/proc/tonnage/store", "cannot be used"),
        ("/dev/null/store", "a file stands where its folder should be"),
    ],
)
async def test_a_place_that_cannot_be_a_store_is_told(place: str, said: str) -> None:
    with pytest.raises(StoreUnusable, match=said) as refused:
        await open_store(place)
    assert refused.value.problem.field == "store"
    assert refused.value.problem.remedy
    assert refused.value.exit_code == 2
