"""PostgreSQL as Grafana asks it: statements, answers as frames."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg

from deploy.observe.frames import Field, Frame, Kind
from deploy.observe.prometheus import QueryFailed

_SECONDS = 30.0
_TIME_COLUMNS = ("time", "timeend")


class PostgreSQL:
    """A database at ``url``; connects for each statement, read-only."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def run(self, statement: str) -> tuple[list[str], list[Sequence[Any]]]:
        """The names of the columns, and the rows. Raises ``QueryFailed``."""
        try:
            connection = await asyncpg.connect(self.url, timeout=_SECONDS)
            try:
                async with connection.transaction(readonly=True):
                    prepared = await connection.prepare(statement)
                    rows = await prepared.fetch(timeout=_SECONDS)
                    return [each.name for each in prepared.get_attributes()], list(map(tuple, rows))
            finally:
                await connection.close()
        except (asyncpg.PostgresError, OSError, TimeoutError) as error:
            raise QueryFailed(f"{type(error).__name__}: {error}") from error


def frames(
    ref: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], form: str, executed: str
) -> list[Frame]:
    """The answer as a table, or as time series with a series for each text beside the time.

    Raises ``QueryFailed`` where Grafana would: no column ``time``, or none that is a number.
    """
    table = Frame(ref, tuple(_field(n, [r[i] for r in rows]) for i, n in enumerate(columns)))
    table = Frame(ref, table.fields, executed)
    if form != "time_series":
        return [table] if rows else []
    return _wide(table) if rows else []


def _field(name: str, values: Sequence[Any]) -> Field:
    kind = _kind(name, values)
    if kind == "number" or (kind == "time" and not _are(values, datetime)):
        return Field(name, kind, [None if value is None else float(value) for value in values])
    if kind == "time":
        return Field(name, kind, [None if v is None else v.timestamp() for v in values])
    return Field(name, kind, [v if v is None or kind == "boolean" else str(v) for v in values])


def _kind(name: str, values: Sequence[Any]) -> Kind:
    if _are(values, datetime):
        return "time"
    if _are(values, bool):
        return "boolean"
    if _are(values, (int, float, Decimal)):
        return "time" if name in _TIME_COLUMNS else "number"
    return "string"


def _are(values: Sequence[Any], kinds: type | tuple[type, ...]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and all(isinstance(value, kinds) for value in there)


def _wide(table: Frame) -> list[Frame]:
    times = [each for each in table.of("time") if each.name == "time"]
    figures = table.of("number")
    if not times or not figures:
        raise QueryFailed("a time series needs a column time, and one that is a number")
    texts = table.of("string")
    keys = list(zip(*(text.values for text in texts), strict=True)) or [()] * table.rows
    made = []
    for key in dict.fromkeys(keys):
        at = [row for row in range(table.rows) if keys[row] == key]
        labels = {text.name: str(value) for text, value in zip(texts, key, strict=True)}
        time = Field("time", "time", [times[0].values[row] for row in at])
        drawn = (Field(f.name, "number", [f.values[row] for row in at], labels) for f in figures)
        made.append(Frame(table.ref, (time, *drawn), table.executed))
    return made
