"""Data sources that answer what was recorded, and dashboards to ask them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.observe.dashboards import Dashboard
from deploy.observe.panels import Proof, prove
from deploy.observe.postgres import PostgreSQL
from deploy.observe.prometheus import Prometheus, QueryFailed
from deploy.observe.sources import Sources
from deploy.observe.times import Range

# 2023-11-14T22:00:00Z, and a quarter of an hour
LOOKED_AT = Range(1_699_999_200.0, 1_700_000_100.0)
BY_VARIABLE = {"type": "prometheus", "uid": "${prometheus}"}
BY_SQL = {"type": "grafana-postgresql-datasource", "uid": "${postgres}"}
SOURCES = [
    {"name": "prometheus", "type": "datasource", "query": "prometheus"},
    {"name": "postgres", "type": "datasource", "query": "grafana-postgresql-datasource"},
]


class RecordedPrometheus(Prometheus):
    """Answers by expression, or by path where there is none; keeps what it was asked."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__("http://recorded")
        self._answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def api(self, path: str, get: bool = False, /, **parameters: str) -> Any:
        """See ``Prometheus``; what was not recorded is refused."""
        self.asked.append((path, parameters))
        key = parameters.get("query", path)
        if key not in self._answers:
            raise QueryFailed(f"nothing recorded for {key}")
        return self._answers[key]


class RecordedPostgres(PostgreSQL):
    """Answers any statement with the same rows; keeps what it was asked."""

    def __init__(self, columns: Sequence[str], *rows: Sequence[Any]) -> None:
        super().__init__("postgresql://recorded")
        self._answer = [*columns], [*rows]
        self.asked: list[str] = []

    async def run(self, statement: str) -> tuple[list[str], list[Sequence[Any]]]:
        """See ``PostgreSQL``."""
        self.asked.append(statement)
        return self._answer


def matrix(*series: Mapping[str, Any], kind: str = "matrix") -> dict[str, Any]:
    """A recorded answer to a range query."""
    return {"resultType": kind, "result": [*series]}


def line(*values: str, **labels: str) -> dict[str, Any]:
    """A series with a sample each quarter of a minute."""
    return {
        "metric": labels,
        "values": [[LOOKED_AT.start + 15 * at, value] for at, value in enumerate(values)],
    }


def sample(value: str, **labels: str) -> dict[str, Any]:
    """A series of an instant query."""
    return {"metric": labels, "value": [LOOKED_AT.end, value]}


def dashboard(*panels: Mapping[str, Any], **more: Any) -> Dashboard:
    """A dashboard with both data source variables."""
    variables = [*SOURCES, *more.pop("variables", [])]
    return Dashboard(
        {
            "uid": "tonnage-made-up",
            "templating": {"list": variables},
            "panels": [{"id": n, "title": f"p{n}", **p} for n, p in enumerate(panels)],
            **more,
        }
    )


def panel(kind: str, expression: str = "up", **target: Any) -> dict[str, Any]:
    """A panel with one Prometheus query."""
    asks = {"refId": "A", "expr": expression, **target}
    return {"type": kind, "datasource": BY_VARIABLE, "targets": [asks]}


async def proofs(
    made: Dashboard, prometheus: Prometheus, postgres: PostgreSQL | None = None
) -> list[Proof]:
    """Everything about it but that it has no links."""
    found = await prove([made], Sources(prometheus, postgres), LOOKED_AT)
    return [each for each in found if each.kind != "links"]


async def proof(
    made: Dashboard, prometheus: Prometheus, postgres: PostgreSQL | None = None
) -> Proof:
    """Of its one panel."""
    (found,) = await proofs(made, prometheus, postgres)
    return found
