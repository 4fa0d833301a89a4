"""Run: one run from its raw rows in PostgreSQL, and beside another."""

from __future__ import annotations

from grafana_foundation_sdk.models import common, timeseries, xychart
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DataTransformerConfig,
    DynamicConfigValue,
    Panel,
    VariableModel,
)

from collector.dashboards import looks, marks, run_sql, variables
from collector.dashboards.links import HOST_OF_ROW, HOST_OF_SERIES, RUN_OF_ROW
from collector.dashboards.page import Line, Opened, Section, page
from collector.dashboards.panels import Numbers, named, note, trend
from collector.dashboards.sources import OF_HOST, POSTGRES, Ask, Sql, SqlTarget, statement
from collector.dashboards.tables import Column, chart, table_of_sql

_HOST = Column("host", link=HOST_OF_ROW)
_NEEDS = """\
**This dashboard needs PostgreSQL.** It reads runs out of the collector's own database, so the
collector must be started with a store at `postgresql://…`, and Grafana needs a data source of that
database: a user who may only read is enough. With SQLite use `tonnage show` and `tonnage report`;
every other dashboard works with Prometheus alone.

Choose a run above, or click one below: that takes its time range too. Statistics are over raw
trials; verdicts and limits are those the collector kept when the run ended.
"""


def dashboard() -> Dashboard:
    """The one dashboard that asks the store."""
    return page(
        "run",
        "Run",
        "One run: outcomes, distribution, phases, ramps, and the same beside another run. Needs "
        "PostgreSQL as the collector's store.",
        variables=_variables(),
        annotations=[
            marks.alerts(),
            marks.from_sql("Runs", run_sql.RUN_MARKS, "blue"),
            marks.from_sql("What hosts told", run_sql.FACT_MARKS, "purple"),
        ],
        opened=Opened("now-24h", ""),
        sections=[
            Section(
                "Which run?",
                [Line(8, [(8, _needs()), (16, _runs())])],
            ),
            Section(
                "How did it end?",
                [Line(4, [(24, _this())]), Line(8, [(8, _hosts()), (16, _outcomes())])],
            ),
            Section(
                "How long did starts take, and how does another run compare?",
                [Line(11, [(14, _ecdf()), (10, _phases())]), Line(8, [(24, _compared())])],
            ),
            Section(
                "What differs, with confidence?",
                [Line(8, [(24, _verdicts())])],
            ),
            Section(
                "What happened while it ran?",
                [Line(9, [(14, _trials()), (10, _pressure())]), Line(8, [(24, _worst())])],
            ),
            Section(
                "How many fit?",
                [Line(8, [(12, _latency()), (12, _memory())]), Line(7, [(24, _ramps())])],
            ),
        ],
    )


def _variables() -> list[VariableModel]:
    return [
        variables.of_prometheus(),
        variables.of_postgres(),
        variables.of_rows("run", "Run", run_sql.RUNS),
        variables.of_rows("other", "Compare with", run_sql.OTHERS),
        variables.of_rows("host", "Host", run_sql.HOSTS, several=True),
        variables.of_rows("target", "Target", run_sql.TARGETS, several=True),
    ]


def _needs() -> Panel:
    return note("What this needs", "What must be set up for this dashboard.", _NEEDS)


def _runs() -> Panel:
    return table_of_sql(
        "Runs in the time range",
        "The latest 100 runs that began in the time range, from the table run; click one to see "
        "it here, over its own time.",
        Sql(run_sql.RUNS_IN_TIME),
        [
            Column("name", link=RUN_OF_ROW),
            Column("state", colors=looks.RUN_STATES, width=100),
            Column("took", "s"),
            Column("hosts", "none", width=80),
            Column("trials", "none"),
            Column("run", link=RUN_OF_ROW),
            Column("from_ms", hidden=True),
            Column("to_ms", hidden=True),
        ],
        nothing="No run began in this time range",
    )


def _this() -> Panel:
    return table_of_sql(
        "${run:text}",
        "The chosen run, from the table run. Skew is the upper bound on how far apart its hosts "
        "began. Where raw rows were removed by retention, statistics over trials are empty, and "
        "what was kept (verdicts, limits) is not.",
        Sql(run_sql.THIS_RUN),
        [
            Column("state", colors=looks.RUN_STATES, width=100),
            Column("took", "s"),
            Column("trials", "none"),
            Column("skew", "s"),
            Column("raw", colors={"kept": looks.GOOD, "removed": looks.FAIR}),
        ],
    )


def _hosts() -> Panel:
    return table_of_sql(
        "Its hosts",
        "How the run went on each host, with what the collector stored of it; from the table "
        "host_run. A problem says why a host's part is not whole.",
        Sql(run_sql.ITS_HOSTS),
        [
            _HOST,
            Column("state", colors=looks.RUN_STATES, width=100),
            Column("trials", "none", width=80),
            Column("events", "none", width=80),
        ],
    )


def _outcomes() -> Panel:
    return table_of_sql(
        "Attempts and quantiles by host and target",
        "Every measured attempt by its outcome, with quantiles of the ready ones by linear "
        "interpolation, from the table trial. Empty below 6 samples, p95 below 60. Noisy: foreign "
        "load above the plan's share during the trial; counted, not removed.",
        Sql(run_sql.OUTCOMES),
        [
            _HOST,
            Column("concurrency", "none", width=95),
            Column("attempts", "none", width=80),
            Column("ready", "none", width=70),
            Column("failed", "none", looks.ANY_IS_BAD, width=70),
            Column("timed out", "none", looks.ANY_IS_BAD, width=80),
            Column("cut short", "none", looks.ANY_IS_FAIR, width=80),
            Column("noisy", "none", looks.ANY_IS_FAIR, width=70),
            Column("p50", "s"),
            Column("p95", "s"),
            Column("max", "s"),
        ],
        nothing="no measured trial, or raw rows were removed",
    )


def _ecdf() -> Panel:
    return _by_series(
        "Share of attempts that were ready within a time (ECDF)",
        "Cumulative distribution of ready times by target and concurrency, over raw trials of the "
        "chosen hosts, and of the run compared with; from the table trial. Failed and timed-out "
        "attempts count and never become ready: a curve that ends below 100 % tells of them. "
        "Thinned to about 2,000 points; pooled over hosts.",
        run_sql.ECDF,
        y=Numbers("percentunit", high=1, nothing="no measured trial, or raw rows were removed"),
        x=("seconds", "s"),
        log=True,
    )


def _phases() -> Panel:
    panel = chart(
        "Median of each phase",
        "From the events of each ready trial, in the table trial. Containers have no machine and "
        "no kernel, and whole servers alone have init. Medians of phases need not add up to the "
        "median of the whole.",
        Numbers("s", nothing="no measured trial, or raw rows were removed"),
        stacked=True,
    )
    panel.datasource, panel.targets = POSTGRES, [statement(Sql(run_sql.PHASES), "A")]
    return panel


def _compared() -> Panel:
    return table_of_sql(
        "Beside the other run",
        "The same targets in both runs, over raw trials of the chosen hosts, pooled (table trial). "
        "A ratio above 1: this run is slower. Neither an interval nor a test: two runs differ in "
        "time and in what else the hosts did. For a verdict: tonnage compare.",
        Sql(run_sql.COMPARED),
        [
            Column("target"),
            *(
                Column(name, unit, steps)
                for name, unit, steps in (
                    ("concurrency", "none", ()),
                    ("attempts", "none", ()),
                    ("attempts, other", "none", ()),
                    ("not ready", "none", looks.ANY_IS_BAD),
                    ("not ready, other", "none", looks.ANY_IS_BAD),
                    ("p50", "s", ()),
                    ("p50, other", "s", ()),
                    ("p50 ratio", "suffix:×", looks.RATIO),
                    ("p95", "s", ()),
                    ("p95, other", "s", ()),
                    ("p95 ratio", "suffix:×", looks.RATIO),
                )
            ),
        ],
        nothing="no measured trial, or raw rows were removed",
    )


def _verdicts() -> Panel:
    return table_of_sql(
        "Verdicts within this run",
        "Each target against the baseline on the same host in this run, with the 95 % interval of "
        "the ratio, as the collector computed them when the run ended (table run_result). Holds "
        "when raw rows are gone.",
        Sql(run_sql.VERDICTS),
        [
            _HOST,
            Column("concurrency", "none", width=95),
            Column("ratio", "suffix:×", decimals=3),
            Column("from", "suffix:×", decimals=3),
            Column("to", "suffix:×", decimals=3),
            Column("verdict", colors=looks.VERDICTS, width=120),
            Column("reason"),
        ],
        nothing="nothing compared, or the run goes on",
    )


def _trials() -> Panel:
    panel = trend(
        "Trials",
        "Each ready trial at the time it was requested, from the table trial; beyond 1,900 they "
        "are thinned, and the 100 slowest stay. Empty where the time range is not the run's: "
        "click the run at the top.",
        [],
        Numbers("s", nothing="no trial of this run in this time range"),
        log=True,
    )
    panel.datasource = POSTGRES
    panel.targets = [SqlTarget(run_sql.TRIALS, "A", "time_series")]
    panel.options = timeseries.Options(legend=looks.legend("count", "max"), tooltip=looks.tooltip())
    if panel.field_config is not None and panel.field_config.defaults is not None:
        panel.field_config.defaults.custom = common.GraphFieldConfig(
            draw_style=common.GraphDrawStyle.POINTS,
            point_size=4,
            scale_distribution=common.ScaleDistributionConfig(
                type_val=common.ScaleDistribution.LOG, log=10
            ),
        )
    return panel


def _pressure() -> Panel:
    return trend(
        "Pressure on its hosts",
        "The kernel's PSI on the chosen hosts, from tonnage_host_pressure_ratio (Prometheus): "
        "what else may have slowed a start.",
        [
            Ask(
                f"max by (host, resource) (tonnage_host_pressure_ratio{{{OF_HOST}}})",
                "{{host}} · {{resource}}",
            )
        ],
        Numbers("percentunit", high=1, link=HOST_OF_SERIES, nothing="no PSI, or not scraped"),
    )


def _worst() -> Panel:
    return table_of_sql(
        "Failed and slowest trials",
        "The 100 trials to look at first, from the table trial: those that did not become ready, "
        "then the slowest. Their evidence is in tonnage export.",
        Sql(run_sql.WORST),
        [
            _HOST,
            Column("attempt", "none", width=80),
            Column("outcome", colors=looks.OUTCOMES, width=100),
            Column("took", "s", width=90),
            Column("noisy", colors={"noisy": looks.FAIR}, width=80),
        ],
        nothing="no measured trial, or raw rows were removed",
    )


def _latency() -> Panel:
    return _by_series(
        "Start-up at each fill",
        "Median start of the probes at each step of a ramp, from the table fact: what the next "
        "instance waits for on a host that is this full.",
        run_sql.STEPS_LATENCY,
        y=Numbers("s", nothing="no ramp with probes"),
        x=("instances", "none"),
    )


def _memory() -> Panel:
    return _by_series(
        "Available memory at each fill",
        "The host's MemAvailable at each step of a ramp, from the table fact. A straight line is "
        "what the forecast rests on; where it bends, pages are shared or reclaimed.",
        run_sql.STEPS_MEMORY,
        y=Numbers("bytes", nothing="no ramp"),
        x=("instances", "none"),
    )


def _ramps() -> Panel:
    return table_of_sql(
        "Limits",
        "Each ramp's limit, its forecast and why it ended, as the collector computed them when "
        "the run ended (table run_result). The error is forecast over limit, less one.",
        Sql(run_sql.RAMPS),
        [
            _HOST,
            Column("memory", "bytes"),
            Column("limit", "none", decimals=0),
            Column("forecast", "none", decimals=0),
            Column("error", "percentunit"),
        ],
        nothing="no ramp, or the run goes on",
    )


def _by_series(
    title: str, about: str, sql: str, *, y: Numbers, x: tuple[str, str], log: bool = False
) -> Panel:
    """Lines over something that is not time: one for each ``series``."""
    name, unit = x
    scale = common.ScaleDistribution
    own = named(
        name,
        DynamicConfigValue(id_val="unit", value=unit),
        DynamicConfigValue(id_val="max", value=None),
        DynamicConfigValue(id_val="custom.axisLabel", value=name),
        DynamicConfigValue(
            id_val="custom.scaleDistribution",
            value=common.ScaleDistributionConfig(
                type_val=scale.LOG if log else scale.LINEAR, log=10 if log else None
            ),
        ),
    )
    panel = Panel(
        type_val="xychart",
        title=title,
        description=about,
        datasource=POSTGRES,
        targets=[statement(Sql(sql), "A")],
        transformations=[
            DataTransformerConfig(
                id_val="partitionByValues", options={"fields": ["series"], "keepFields": False}
            )
        ],
        options=xychart.Options(
            mapping=xychart.SeriesMapping.AUTO,
            series=[xychart.XYSeriesConfig()],
            legend=looks.legend(),
            tooltip=looks.tooltip(),
        ),
        field_config=y.config(
            xychart.FieldConfig(
                show=xychart.XYShowMode.POINTS_AND_LINES,
                point_size=xychart.XychartFieldConfigPointSize(fixed=3),
                line_width=2,
            )
        ),
    )
    if panel.field_config is not None and panel.field_config.overrides is not None:
        panel.field_config.overrides.append(own)
    return panel
