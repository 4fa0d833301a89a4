"""The data sources of a dashboard, and which of them a reference means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deploy.observe.interpolation import (
    Bound,
    CannotInterpolate,
    Format,
    interpolate,
    names,
    plain,
)
from deploy.observe.macros import BadMacro, expand
from deploy.observe.postgres import PostgreSQL
from deploy.observe.prometheus import Prometheus, QueryFailed
from deploy.observe.times import Range

Engine = Literal["prometheus", "postgres"]
_ENGINES: Mapping[str, Engine] = {
    "prometheus": "prometheus",
    "postgres": "postgres",
    "grafana-postgresql-datasource": "postgres",
}


def engine_of(reference: Any, scope: Mapping[str, Bound]) -> Engine:
    """What a data source reference leads to. Raises ``QueryFailed``."""
    uid = reference.get("uid", "") if isinstance(reference, dict) else str(reference or "")
    word = interpolate(str(uid), scope, plain)
    kind = word if word in _ENGINES else (reference or {}).get("type", "") if word != uid else ""
    if kind not in _ENGINES:
        raise QueryFailed(f"data source {reference!r}: name one by a variable of type data source")
    return _ENGINES[kind]


@dataclass(frozen=True, slots=True)
class Sources:
    """The servers that were brought up. ``database`` may be absent, as beside SQLite."""

    prometheus: Prometheus
    database: PostgreSQL | None = None

    def postgres(self) -> PostgreSQL:
        """The database. Raises ``QueryFailed`` without one."""
        if self.database is None:
            raise QueryFailed("this needs PostgreSQL, and none is there")
        return self.database

    def statement(
        self, text: str, scope: Mapping[str, Bound], looked_at: Range, default: Format
    ) -> str:
        """``text`` with variables and macros written out. Raises ``QueryFailed``.

        A name that nothing explains fails, where Grafana would send it to the server: within a
        matcher's string that selects nothing, and nobody is told.
        """
        try:
            replaced = expand(interpolate(text, scope, default), looked_at)
        except (BadMacro, CannotInterpolate) as error:
            raise QueryFailed(str(error)) from error
        if left := names(replaced):
            raise QueryFailed(f"no variable is called {', '.join(sorted(left))}: {text}")
        return replaced
