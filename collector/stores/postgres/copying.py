"""Rows into a table by COPY, the fastest way in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from operator import itemgetter
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from collector.stores.sql.ingest import COLUMNS, Row
from collector.stores.texts import WithoutNul, is_odd, stored

Driver: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # dialects have no types


@cache
def _texts(table: Table, names: tuple[str, ...]) -> tuple[int, ...]:
    """Where a row has text that may hold what PostgreSQL cannot."""
    types = [table.c[name].type.dialect_impl(_DIALECT) for name in names]
    return tuple(i for i, kind in enumerate(types) if isinstance(kind, WithoutNul))


async def copy(
    raw: Driver, table: Table, rows: Sequence[Row], names: tuple[str, ...] | None = None
) -> None:
    """Add rows whose values are in the order of ``names``, or of ``COLUMNS``."""
    names = names or COLUMNS[table]
    await raw.copy_records_to_table(
        table.name, records=_storable(rows, _texts(table, names)), columns=names
    )


def _storable(rows: Sequence[Row], texts: Sequence[int]) -> Sequence[Row]:
    """The rows as PostgreSQL can hold them: nearly always as they are."""
    if not texts:
        return rows
    of = itemgetter(*texts)
    try:
        odd = any(is_odd("".join(of(row))) for row in rows)
    except TypeError:  # a text is absent
        odd = True
    if not odd:
        return rows
    return [tuple(map(_value, row)) for row in rows]


def _value(value: Any) -> Any:
    return stored(value) if isinstance(value, str) else value
