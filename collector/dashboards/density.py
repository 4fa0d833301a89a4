"""Density: how many fit, how many are there, and what stands in the way of more."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from collector.dashboards import looks, marks, variables
from collector.dashboards.links import HOST_OF_ROW, HOST_OF_SERIES
from collector.dashboards.page import Line, Opened, Section, page
from collector.dashboards.panels import Numbers, bars, figure, trend
from collector.dashboards.sources import (
    OF_RESULT,
    OF_RUNTIME,
    SUBJECT,
    Ask,
)
from collector.dashboards.tables import Column, table_of

_LIMIT = f"max by ({SUBJECT}) (tonnage_density_limit_instances{{{OF_RESULT}}})"
_FORECAST = f"max by ({SUBJECT}) (tonnage_density_forecast_instances{{{OF_RESULT}}})"
_HEADROOM = f"host_runtime:tonnage_density_headroom:ratio{{{OF_RUNTIME}}}"
_MOST = f"host_runtime:tonnage_density_limit_instances:max{{{OF_RUNTIME}}}"
_HELD = f"host_runtime:tonnage_held_instances:sum{{{OF_RUNTIME}}}"
_STOPS = f"tonnage_density_stop_info{{{OF_RESULT}}}"
_SERIES = "{{host}} · {{runtime}} {{accelerator}} · {{workload}}"


def dashboard() -> Dashboard:
    """For who plans capacity."""
    return page(
        "density",
        "Density",
        "How many instances each host carries, how many it has, and what binds. Needs Prometheus "
        "alone.",
        variables=[
            variables.of_prometheus(),
            variables.hosts(),
            variables.runtimes(),
            variables.workloads(),
        ],
        annotations=[marks.alerts(), marks.runs_of_hosts()],
        opened=Opened("now-7d", "5m"),
        sections=[
            Section(
                "How many more fit?",
                [
                    Line(4, [(6, _least()), (6, _limits()), (6, _there()), (6, _tight())]),
                    Line(9, [(16, _by_host()), (8, _constraints())]),
                ],
            ),
            Section(
                "Where is it going?",
                [Line(9, [(12, _over_time()), (12, _headroom())])],
            ),
            Section(
                "Can the forecast be believed?",
                [Line(8, [(8, _error()), (8, _ramp()), (8, _stops())])],
            ),
        ],
    )


def _least() -> Panel:
    return figure(
        "Least headroom",
        "1 less instances over the limit, of the host and runtime with the least room: "
        "host_runtime:tonnage_density_headroom:ratio. Negative: more run than the limit that was "
        "measured, of smaller instances or beyond the objective.",
        [Ask(f"min({_HEADROOM})")],
        Numbers("percentunit", low=None, steps=looks.HEADROOM, nothing=looks.NO_LIMIT),
        background=True,
    )


def _limits() -> Panel:
    return figure(
        "Sum of limits",
        "What all chosen hosts would carry, each filled with one runtime alone and with the "
        "lightest subject that was measured: host_runtime:tonnage_density_limit_instances:max, "
        "added up. The runtimes share the memory: their figures are not to be added.",
        [Ask(f"sum by (runtime) ({_MOST})", "{{runtime}}")],
        Numbers("none", decimals=0, nothing=looks.NO_LIMIT),
        named_values=True,
    )


def _there() -> Panel:
    return figure(
        "Instances now",
        "Tonnage's own and, where agents observe, all others on the chosen hosts; other VMs count "
        "as qemu-microvm. From the recorded host_runtime:tonnage_held_instances:sum.",
        [Ask(f"sum by (runtime) ({_HELD})", "{{runtime}}")],
        Numbers("none", decimals=0),
        named_values=True,
    )


def _tight() -> Panel:
    return figure(
        "Hosts under 15 % headroom",
        "Pairs of host and runtime below the threshold of the alert TonnageDensityHeadroomLow, by "
        "host_runtime:tonnage_density_headroom:ratio.",
        [Ask(f"count({_HEADROOM} < 0.15) or vector(0)")],
        Numbers("none", steps=looks.ANY_IS_BAD, decimals=0),
        background=True,
    )


def _by_host() -> Panel:
    age = f'tonnage_result_age_seconds{{{OF_RESULT}, experiment="density"}}'
    return table_of(
        "Limit, forecast and headroom",
        "The latest ramp of each subject: the largest number of instances that met the SLO "
        "(tonnage_density_limit_instances), the limit foreseen from its first steps "
        "(tonnage_density_forecast_instances), why it ended and what bound "
        "(tonnage_density_stop_info). max_instances, time_limit, memory_budget and memory_limit "
        "are the experiment's own ends: the host would have carried more, and has no headroom by "
        "them. Headroom counts all instances of the runtime now.",
        [
            (Column("limit", "none", decimals=0), _LIMIT),
            (Column("forecast", "none", decimals=0), _FORECAST),
            (
                Column("headroom", "percentunit", looks.HEADROOM),
                f"{_LIMIT} * 0 + on (host, runtime) group_left () {_HEADROOM}",
            ),
            (Column(""), f"max by ({SUBJECT}, reason, constraint) ({_STOPS})"),
            (Column("age", "s", looks.AGE), f"max by ({SUBJECT}) ({age})"),
        ],
        labels=[
            Column("host", link=HOST_OF_ROW),
            Column("runtime"),
            Column("accelerator", width=100),
            Column("workload"),
            Column("memory", "bytes"),
            Column("constraint"),
            Column("reason"),
        ],
        without=("variant", "mode", "network"),
        sort="headroom",
        nothing="no density run yet",
    )


def _constraints() -> Panel:
    return bars(
        "What binds, on how many subjects",
        "The binding constraint of the latest ramps, counted: what more of would raise density. "
        "From tonnage_density_stop_info. A limit set by a guard or by max_instances says nothing "
        "of the host.",
        [Ask(f"sort_desc(count by (constraint) ({_STOPS}))", "{{constraint}}")],
        Numbers("none", decimals=0, by_value=True, nothing="no density run yet"),
    )


def _over_time() -> Panel:
    return trend(
        "Instances, limit and forecast",
        "What runs, Tonnage's own and others (host_runtime:tonnage_held_instances:sum), below the "
        "largest limit of host and runtime (host_runtime:tonnage_density_limit_instances:max) and "
        "the forecasts of the latest ramps (tonnage_density_forecast_instances), both dashed: how "
        "fast the room is used up. A step of a limit is a new ramp.",
        [
            Ask(_HELD, "{{host}} · {{runtime}}"),
            Ask(_MOST, "{{host}} · {{runtime}} limit"),
            Ask(_FORECAST, f"{_SERIES} forecast"),
        ],
        Numbers("none", link=HOST_OF_SERIES),
        dash=".* (limit|forecast)$",
    )


def _headroom() -> Panel:
    return trend(
        "Headroom",
        "host_runtime:tonnage_density_headroom:ratio, as the alert sees it: it fires below 15 %, "
        "the dashed line. Falls as instances come, jumps with a new ramp.",
        [Ask(_HEADROOM, "{{host}} · {{runtime}}")],
        Numbers(
            "percentunit",
            low=None,
            high=1,
            steps=looks.HEADROOM,
            link=HOST_OF_SERIES,
            nothing=looks.NO_LIMIT,
        ),
        limit_lines=True,
    )


def _error() -> Panel:
    return bars(
        "Error of the forecast",
        "tonnage_density_forecast_instances over tonnage_density_limit_instances, less one, of "
        "each latest ramp: what was foreseen from its first steps. Means nothing where the "
        "ramp ended at max_instances or was cancelled (see its reason above).",
        [Ask(f"sort_desc({_FORECAST} / {_LIMIT} - 1)", _SERIES)],
        Numbers(
            "percentunit",
            low=-1,
            high=1,
            steps=((None, looks.BAD), (-0.2, looks.FAIR), (-0.1, looks.GOOD),
                   (0.1, looks.FAIR), (0.2, looks.BAD)),
            link=HOST_OF_SERIES,
            by_value=True,
            nothing="no ramp with a forecast",
        ),
    )  # fmt: skip


def _ramp() -> Panel:
    by = "max by (host, runtime, accelerator)"
    return trend(
        "Ramps as they go",
        "Tonnage's instances while an agent ramps, with the forecast it made and the limit it "
        "found in its latest ramp (tonnage_agent_ramp_forecast_instances, "
        "tonnage_agent_ramp_limit_instances), dashed. Live from agents, and gone when one "
        "restarts; results are above.",
        [
            Ask(
                f'sum by (host, runtime) (tonnage_instances{{{OF_RUNTIME}, state="ready"}})',
                "{{host}} · {{runtime}}",
            ),
            Ask(
                f"{by} (tonnage_agent_ramp_forecast_instances{{{OF_RUNTIME}}})",
                "{{host}} · {{runtime}} {{accelerator}} forecast",
            ),
            Ask(
                f"{by} (tonnage_agent_ramp_limit_instances{{{OF_RUNTIME}}})",
                "{{host}} · {{runtime}} {{accelerator}} limit",
            ),
        ],
        Numbers("none", link=HOST_OF_SERIES),
        dash=".* (limit|forecast)$",
    )


def _stops() -> Panel:
    return bars(
        "Why ramps ended",
        "Reasons at which the latest ramps stopped, counted, from tonnage_density_stop_info. "
        "launch_failed and instances_died are the host's own limit; slo_* are the experiment's.",
        [Ask(f"sort_desc(count by (reason) ({_STOPS}))", "{{reason}}")],
        Numbers("none", decimals=0, by_value=True, nothing="no density run yet"),
    )
