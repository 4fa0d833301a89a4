"""Data sources, always by a variable, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common, prometheus

PROMETHEUS = common.DataSourceRef(type_val="prometheus", uid="${prometheus}")
POSTGRES = common.DataSourceRef(type_val="grafana-postgresql-datasource", uid="${postgres}")

# Every label of a result's subject; the collector's gauges carry them all.
SUBJECT = "host, runtime, accelerator, variant, mode, network, workload, memory"
LAYERS = {
    "engine": "engine and shim, or hypervisor",
    "guest_kernel": "guest kernel",
    "guest_userspace": "guest user space",
    "guest": "guest OS, undivided",
    "guest_free": "guest, free again",
    "libraries": "libraries",
    "application": "application",
    "unexplained": "unexplained",
}
"""The layers of a stack from the ground up, by their label."""
OF_HOST = 'host=~"$host"'
OF_RUNTIME = f'{OF_HOST}, runtime=~"$runtime"'
OF_RESULT = f'{OF_RUNTIME}, workload=~"$workload"'
# What the rule of headroom counts, too.
ALIVE = 'state!~"created|exited|stopped|dead"'
NO_MORE = 'state=~"starting|ready|stopping"'


@dataclass(frozen=True, slots=True)
class Ask:
    """A PromQL query over time; ``legend`` is a template such as ``{{host}}``."""

    expression: str
    legend: str = "__auto"


@dataclass(frozen=True, slots=True)
class Sql:
    """A statement of PostgreSQL; its columns' names are those of the panel."""

    statement: str


@dataclass(slots=True)
class SqlTarget(variants.Dataquery):
    """A statement as Grafana's PostgreSQL data source keeps it; the library has none."""

    raw_sql: str
    ref_id: str
    format_val: str = "table"

    def to_json(self) -> dict[str, object]:
        """As it is written."""
        return {
            "refId": self.ref_id,
            "datasource": POSTGRES,
            "editorMode": "code",
            "format": self.format_val,
            "rawQuery": True,
            "rawSql": self.raw_sql,
        }


def over_time(asked: Ask, ref: str) -> prometheus.Dataquery:
    """A query over the whole time range."""
    return _target(asked, ref, range_val=True, instant=False)


def at_end(asked: Ask, ref: str) -> prometheus.Dataquery:
    """A query at the end of the time range."""
    return _target(asked, ref, range_val=False, instant=True)


def rows(asked: Ask, ref: str) -> prometheus.Dataquery:
    """A query at the end of the time range, as a table: a column a label."""
    target = at_end(asked, ref)
    target.format_val = prometheus.PromQueryFormat.TABLE
    return target


def buckets(asked: Ask, ref: str) -> prometheus.Dataquery:
    """A query for a heat map: a series a bucket."""
    target = over_time(asked, ref)
    target.format_val = prometheus.PromQueryFormat.HEATMAP
    return target


def statement(asked: Sql, ref: str) -> SqlTarget:
    """A statement whose rows are drawn as they come."""
    return SqlTarget(asked.statement, ref)


def _target(asked: Ask, ref: str, *, range_val: bool, instant: bool) -> prometheus.Dataquery:
    return prometheus.Dataquery(
        datasource=PROMETHEUS,
        editor_mode=prometheus.QueryEditorMode.CODE,
        expr=asked.expression,
        legend_format=asked.legend,
        range_val=range_val,
        instant=instant,
        ref_id=ref,
    )
