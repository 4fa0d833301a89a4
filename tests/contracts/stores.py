"""The kinds of store, and how to do to each what no caller can."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from collector.stores.base import Store
from collector.stores.open import open_store


@dataclass(frozen=True)
class Engine:
    """One kind of store, and how to do to it what no caller can."""

    place: str
    open: Callable[[], Awaitable[Store]]
    # Make the row of a trial with this sequence impossible to insert.
    refuse_trial: Callable[[int], None]
    # Say that the store has this schema revision.
    pretend_revision: Callable[[str], None]


def sqlite(tmp_path: Path) -> Engine:
    place = str(tmp_path / "store")

    def execute(statement: str, *values: str) -> None:
        with sqlite3.connect(f"{place}/tonnage.db") as connection:
            connection.execute(statement, values)
        connection.close()

    return Engine(
        place=place,
        open=lambda: open_store(place),
        refuse_trial=lambda sequence: execute(
            "CREATE TRIGGER refusal BEFORE INSERT ON trial"
            f" WHEN NEW.sequence = {sequence} BEGIN SELECT RAISE(ABORT, 'injected'); END"
        ),
        pretend_revision=lambda name: execute("UPDATE alembic_version SET version_num = ?", name),
    )


ENGINES = {"sqlite": sqlite}
