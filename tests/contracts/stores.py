"""The kinds of store, and how to do to each what no caller can."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from collector.stores.base import Store
from collector.stores.open import open_store

_PRETEND = "UPDATE alembic_version SET version_num = '{}'"


@dataclass(frozen=True)
class Engine:
    """One kind of store, and how to do to it what no caller can."""

    place: str
    # Whether several collectors may use one store at once.
    shared: bool
    open: Callable[[], Awaitable[Store]]
    # Make the row of a trial with this sequence impossible to insert.
    refuse_trial: Callable[[int], Awaitable[None]]
    # Say that the store has this schema revision.
    pretend_revision: Callable[[str], Awaitable[None]]


def sqlite(tmp_path: Path) -> Engine:
    place = str(tmp_path / "store")

    async def execute(statement: str) -> None:
        with sqlite3.connect(f"{place}/tonnage.db") as connection:
            connection.execute(statement)
        connection.close()

    return Engine(
        place=place,
        shared=False,
        open=lambda: open_store(place),
        refuse_trial=lambda sequence: execute(
            "CREATE TRIGGER refusal BEFORE INSERT ON trial"
            f" WHEN NEW.sequence = {sequence} BEGIN SELECT RAISE(ABORT, 'injected'); END"
        ),
        pretend_revision=lambda name: execute(_PRETEND.format(name)),
    )


def postgres(url: str) -> Engine:
    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    return Engine(
        place=url,
        shared=True,
        open=lambda: open_store(url),
        refuse_trial=lambda sequence: execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'injected'; END$$;"
            "CREATE TRIGGER refusal BEFORE INSERT ON trial FOR EACH ROW"
            f" WHEN (NEW.sequence = {sequence}) EXECUTE FUNCTION refuse()"
        ),
        pretend_revision=lambda name: execute(_PRETEND.format(name)),
    )


@dataclass(frozen=True)
class Kind:
    """How an engine is made, and the fixture that it is made of."""

    make: Callable[..., Engine]
    needs: str


ENGINES = {"sqlite": Kind(sqlite, "tmp_path"), "postgres": Kind(postgres, "postgres_url")}
