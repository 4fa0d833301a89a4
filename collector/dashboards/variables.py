"""What is chosen at the top of a dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import (
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
    VariableType,
)

from collector.dashboards.sources import POSTGRES, PROMETHEUS

_ALL = "$__all"


def source(name: str, plugin: str, label: str) -> VariableModel:
    """A data source of a kind."""
    return VariableModel(
        type_val=VariableType.DATASOURCE,
        name=name,
        label=label,
        query=plugin,
        refresh=VariableRefresh.ON_DASHBOARD_LOAD,
        include_all=False,
        multi=False,
    )


def of_prometheus() -> VariableModel:
    """The Prometheus that scrapes agents and collector."""
    return source("prometheus", "prometheus", "Prometheus")


def of_postgres() -> VariableModel:
    """The database that the collector keeps runs in."""
    return source("postgres", "grafana-postgresql-datasource", "PostgreSQL")


def hosts() -> VariableModel:
    """Any number of hosts; all of them, at first."""
    return _several("host", "Host", "label_values(tonnage_agent_info, host)")


def one_host() -> VariableModel:
    """One host."""
    return _asked("host", "Host", "label_values(tonnage_agent_info, host)")


def runtimes() -> VariableModel:
    """Any number of the runtimes that the chosen hosts have."""
    asked = 'label_values(tonnage_runtime_healthy{host=~"$host"}, runtime)'
    return _several("runtime", "Runtime", asked)


def workloads() -> VariableModel:
    """Any number of the workloads there are results of."""
    asked = 'label_values(tonnage_result_age_seconds{host=~"$host"}, workload)'
    return _several("workload", "Workload", asked)


def modes() -> VariableModel:
    """Any number of the modes that starts were measured in."""
    asked = 'label_values(tonnage_start_statistic_seconds{host=~"$host"}, mode)'
    return _several("mode", "Mode", asked)


def of_rows(name: str, label: str, statement: str, *, several: bool = False) -> VariableModel:
    """What a statement finds; ``__text`` and ``__value`` where they differ."""
    made = _several(name, label, statement) if several else _asked(name, label, statement)
    # SQL has no pattern that fits all: every value is named.
    made.all_value, made.datasource = None, POSTGRES
    made.sort = VariableSort.DISABLED
    return made


def _several(name: str, label: str, query: str) -> VariableModel:
    made = _asked(name, label, query)
    made.multi, made.include_all, made.all_value = True, True, ".+"
    made.current = VariableOption(selected=True, text=["All"], value=[_ALL])
    return made


def _asked(name: str, label: str, query: str) -> VariableModel:
    return VariableModel(
        type_val=VariableType.QUERY,
        name=name,
        label=label,
        query=query,
        datasource=PROMETHEUS,
        refresh=VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=VariableSort.ALPHABETICAL_ASC,
        multi=False,
        include_all=False,
    )


def custom(name: str, label: str, values: tuple[str, ...], chosen: str) -> VariableModel:
    """One of a few words."""
    return VariableModel(
        type_val=VariableType.CUSTOM,
        name=name,
        label=label,
        query=",".join(values),
        current=VariableOption(selected=True, text=chosen, value=chosen),
        options=[VariableOption(selected=each == chosen, text=each, value=each) for each in values],
        multi=False,
        include_all=False,
    )
