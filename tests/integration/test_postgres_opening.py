"""How a PostgreSQL store is reached, made and refused; see collector/stores/postgres."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from collector.errors import ExitCode, StoreError, StoreUnusable
from collector.stores.open import open_store
from collector.stores.postgres import opening
from collector.stores.postgres.address import without_password
from deploy.postgres import PrivatePostgres
from tests.runs_made_up import host_run, run


async def test_collectors_that_start_at_once_make_the_store_once(
    postgres: PrivatePostgres, postgres_url: str
) -> None:
    stores = await asyncio.gather(*(open_store(postgres_url) for _ in range(4)))
    for store in stores:
        assert await store.known_hosts() == ()
        await store.close()
    database = postgres_url.rpartition("/")[2]
    assert postgres.run("SELECT count(*) FROM alembic_version", database) == "1"


async def test_a_migration_by_another_collector_is_waited_for_in_bounds(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_PATIENCE", text("SET lock_timeout = '50ms'"))
    other = await asyncpg.connect(postgres_url)
    try:
        await other.execute(str(opening._LOCK))
        with pytest.raises(StoreError, match="another collector is migrating") as waiting:
            await open_store(postgres_url)
        assert waiting.value.exit_code == ExitCode.INTERNAL
    finally:
        await other.close()
    await (await open_store(postgres_url)).close()


async def test_both_names_of_the_scheme_are_known(postgres_url: str) -> None:
    store = await open_store(postgres_url.replace("postgresql://", "postgres://"))
    assert await store.size_bytes() > 1_000_000
    await store.close()


async def test_a_password_is_never_shown(postgres: PrivatePostgres) -> None:
    url = postgres.url("nowhere").replace("postgres@", "postgres:s3cret@")
    for asked in (url, f"{postgres.url('nowhere')}?password=s3cret"):
        with pytest.raises(StoreError) as refused:
            await open_store(asked)
        assert "s3cret" not in str(refused.value)
        assert "***" in refused.value.problem.value


async def test_a_database_that_is_not_there_is_told_with_a_way_out(
    postgres: PrivatePostgres,
) -> None:
    with pytest.raises(StoreUnusable, match='database "nowhere" does not exist') as refused:
        await open_store(postgres.url("nowhere"))
    assert refused.value.problem.value == postgres.url("nowhere")
    assert "DATABASE" in refused.value.problem.remedy


async def test_a_server_that_is_away_may_come_back(postgres: PrivatePostgres) -> None:
    with pytest.raises(StoreError) as away:
        await open_store("postgresql://postgres@127.0.0.1:1/tonnage")
    assert away.value.exit_code == ExitCode.INTERNAL
    assert away.value.problem.value == "postgresql://postgres@127.0.0.1:1/tonnage"


async def test_a_database_of_something_else_is_left_alone(
    postgres: PrivatePostgres, postgres_url: str
) -> None:
    database = postgres_url.rpartition("/")[2]
    postgres.run("CREATE TABLE recipes (name TEXT)", database)
    with pytest.raises(StoreUnusable, match="not a Tonnage store: it holds recipes"):
        await open_store(postgres_url)
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    assert postgres.run(tables, database) == "1"


async def test_a_database_in_another_encoding_is_refused(postgres: PrivatePostgres) -> None:
    postgres.run(
        "CREATE DATABASE odd ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
    )
    try:
        with pytest.raises(StoreUnusable, match="LATIN1") as refused:
            await open_store(postgres.url("odd"))
        assert "UTF8" in refused.value.problem.remedy
    finally:
        postgres.drop_database("odd")


async def test_without_the_driver_its_install_command_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("collector.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(StoreUnusable, match="asyncpg") as refused:
        await open_store("postgresql://h/db")
    assert "pip install" in refused.value.problem.remedy


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u@h:1/d", "postgresql://u@h:1/d"),
        ("postgresql://u:s3cret@h:1/d", "postgresql://u:***@h:1/d"),
        ("postgresql://u:s3@cr/et@h/d", "postgresql://u:***@h/d"),
        ("postgresql:///d?host=/run&password=s3cret", "postgresql:///d?host=/run&password=***"),
        ("postgresql://h:1/d?user=u", "postgresql://h:1/d?user=u"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


async def test_an_address_that_cannot_be_read_does_not_show_its_password() -> None:
    with pytest.raises(StoreUnusable, match="cannot be read") as refused:
        await open_store("postgresql://u:s3/cret@h/d")
    assert "cret" not in str(refused.value)


@pytest.fixture
def locked(postgres_url: str, postgres: PrivatePostgres) -> Iterator[str]:
    """The address of a database that wants the password ``s3cret``."""
    role = f"locked_{postgres_url.rpartition('/')[2]}"
    database = postgres_url.rpartition("/")[2]
    postgres.run(f"CREATE ROLE {role} LOGIN PASSWORD 's3cret'")
    postgres.run(f"GRANT ALL ON SCHEMA public TO {role}", database)
    rules = postgres.home / "data" / "pg_hba.conf"
    trusting = rules.read_text()
    rules.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n{trusting}")
    postgres.run("SELECT pg_reload_conf()")
    yield postgres_url.replace("postgres@", f"{role}@")
    rules.write_text(trusting)
    postgres.run("SELECT pg_reload_conf()")
    postgres.run(f"DROP OWNED BY {role}", database)
    postgres.run(f"DROP ROLE {role}")


async def test_a_password_comes_from_a_file_or_a_variable(
    locked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreUnusable, match="password"):
        await open_store(locked)
    kept = tmp_path / "pgpass"
    kept.write_text("127.0.0.1:*:*:*:s3cret\n")
    kept.chmod(0o600)
    store = await open_store(f"{locked}?passfile={kept}")
    await store.create_run(run(), [host_run()])
    assert await store.own("r1")  # over a connection of its own
    await store.close()
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    await (await open_store(locked)).close()
