"""Marks on every time axis: alerts that fired, and runs."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import AnnotationContainer, AnnotationQuery

from collector.dashboards.sources import POSTGRES, PROMETHEUS, SqlTarget

# Without a host an alert is about the collector, or about all.
FIRING = 'ALERTS{alertname=~"Tonnage.+", alertstate="firing", host=~"$host|"}'


def alerts() -> AnnotationQuery:
    """When an alert was firing."""
    return AnnotationQuery(
        name="Alerts",
        datasource=PROMETHEUS,
        enable=True,
        icon_color="red",
        expr=FIRING,
        title_format="{{alertname}} {{host}}",
        text_format="{{severity}}",
        tag_keys="severity,alertname",
        step="30s",
    )


def runs_of_hosts() -> AnnotationQuery:
    """When the chosen hosts carried out a run."""
    return _runs('max by (host) (tonnage_agent_run_active{host=~"$host"}) > 0', "Run on {{host}}")


def runs_of_fleet() -> AnnotationQuery:
    """When the collector drove a run."""
    asked = 'max(tonnage_collector_active_runs{state="running"}) > 0'
    return _runs(asked, "A run goes on")


def _runs(expression: str, title: str) -> AnnotationQuery:
    return AnnotationQuery(
        name="Runs",
        datasource=PROMETHEUS,
        enable=True,
        icon_color="blue",
        expr=expression,
        title_format=title,
        text_format="An experiment was run: what is live here is its work.",
        tag_keys="host",
        step="30s",
    )


def from_sql(name: str, statement: str, color: str) -> AnnotationQuery:
    """Rows with ``time``, ``timeend``, ``text`` and ``tags``."""
    return AnnotationQuery(
        name=name,
        datasource=POSTGRES,
        enable=True,
        icon_color=color,
        target=SqlTarget(statement, "Anno"),
    )


def of(*queries: AnnotationQuery) -> AnnotationContainer:
    """A dashboard's marks."""
    return AnnotationContainer(list_val=list(queries))
