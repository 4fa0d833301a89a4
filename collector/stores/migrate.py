"""Brings a store to the newest schema, or says why it may not be touched."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from collector.errors import StoreTooNew, StoreUnusable
from collector.stores.schema import metadata as schema

_SCRIPTS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, place: str) -> None:
    """Apply what is missing; each migration commits together with its record.

    ``place`` names the store in errors. Raises ``StoreTooNew`` when a newer
    Tonnage wrote it, ``StoreUnusable`` when something else did.
    """
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    found = revision_of(connection)
    if found == scripts.get_current_head():
        _refuse_unlike(connection, place)
        return
    if found is None:
        _refuse_foreign(connection, place)
    elif found not in {script.revision for script in scripts.walk_revisions()}:
        raise StoreTooNew(
            f"this store has schema {found}, newer than {scripts.get_current_head()} of this"
            " Tonnage",
            field="store",
            value=place,
            remedy="Start the Tonnage that wrote it, or name another store.",
        )
    connection.rollback()  # looking began a transaction; each migration has its own
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    _refuse_unlike(connection, place)


def revision_of(connection: Connection) -> str | None:
    """The revision that a store has; ``None`` of what is no store."""
    return MigrationContext.configure(connection).get_current_revision()


def schema_revision() -> str:
    """The newest revision this Tonnage knows."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return str(ScriptDirectory.from_config(config).get_current_head())


def _refuse_unlike(connection: Connection, place: str) -> None:
    """Refuse tables that bear the newest revision's name and not its columns: a
    pre-release may have changed what its revision means."""
    tables = inspect(connection)
    names = tables.get_table_names()
    lacking: list[str] = []
    for table in schema.sorted_tables:
        if table.name not in names:
            lacking.append(table.name)
            continue
        there = {column["name"] for column in tables.get_columns(table.name)}
        lacking += [f"{table.name}.{c.name}" for c in table.columns if c.name not in there]
    if lacking:
        raise StoreUnusable(
            f"this store is of a pre-release of Tonnage and lacks {', '.join(sorted(lacking)[:3])}",
            field="store",
            value=place,
            remedy="Name another folder, file or database: a pre-release's store cannot be"
            " migrated.",
        )


def _refuse_foreign(connection: Connection, place: str) -> None:
    tables = inspect(connection).get_table_names()
    if set(tables) - {"alembic_version"}:
        raise StoreUnusable(
            f"this database is not a Tonnage store: it holds {', '.join(sorted(tables)[:3])}",
            field="store",
            value=place,
            remedy="Name another file, folder or database.",
        )
