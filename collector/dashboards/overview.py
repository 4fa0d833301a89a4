"""Fleet overview: what needs attention now, and on which host."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from collector.dashboards import looks, marks, variables
from collector.dashboards.links import HOST_OF_ROW, HOST_OF_SERIES
from collector.dashboards.page import Line, Section, page
from collector.dashboards.panels import Numbers, bars, figure, trend
from collector.dashboards.sources import ALIVE, NO_MORE, OF_HOST, OF_RUNTIME, Ask
from collector.dashboards.tables import Column, table_of

_DRAWN = "a gap means that it was not scraped"


def dashboard() -> Dashboard:
    """What an operator opens first."""
    return page(
        "overview",
        "Fleet overview",
        "Is anything wrong, on which host, and how much room is left. Needs Prometheus alone.",
        variables=[variables.of_prometheus(), variables.hosts(), variables.runtimes()],
        annotations=[marks.alerts(), marks.runs_of_fleet()],
        sections=[
            Section(
                "Is anything wrong now?",
                [
                    Line(4, [(8, _hosts()), (4, _firing()), (4, _runs()), (4, _leaked()),
                             (4, _certificate())]),
                    Line(7, [(24, _alerts())]),
                ],
            ),
            Section("Which host?", [Line(10, [(24, _by_host())])]),
            Section(
                "How full is the fleet?",
                [Line(9, [(12, _instances()), (12, _headroom())])],
            ),
            Section(
                "Does the collector keep up?",
                [Line(8, [(8, _runs_ended()), (8, _events()), (8, _commits())]),
                 Line(4, [(6, _collectors()), (6, _store()), (6, _failures()), (6, _missing())])],
            ),
        ],
    )  # fmt: skip


def _hosts() -> Panel:
    return figure(
        "Hosts by state",
        "Hosts that registered, by the collector's view of their lease: suspect missed one, lost "
        "was silent for longer, draining takes no new run. From tonnage_collector_hosts; all "
        "hosts, whatever is chosen above.",
        [Ask("max by (state) (tonnage_collector_hosts)", "{{state}}")],
        Numbers("none", colors=looks.HOST_STATES, decimals=0),
        named_values=True,
    )


def _firing() -> Panel:
    return figure(
        "Alerts firing",
        "Alerts of Tonnage's rules that fire now, for the chosen hosts and for no host. From "
        "ALERTS, which Prometheus writes; 0 also where the rules are not loaded.",
        [Ask(f"count({marks.FIRING}) or vector(0)", "firing")],
        Numbers("none", steps=looks.ANY_IS_BAD, decimals=0),
        background=True,
    )


def _runs() -> Panel:
    return figure(
        "Runs going on",
        "Runs that the collector has not ended: running, or waiting for a host. From "
        "tonnage_collector_active_runs.",
        [Ask("max by (state) (tonnage_collector_active_runs)", "{{state}}")],
        Numbers("none", colors=looks.RUN_STATES, decimals=0),
        named_values=True,
    )


def _leaked() -> Panel:
    asked = f"round(sum(increase(tonnage_agent_leaked_instances_total{{{OF_HOST}}}[$__range])))"
    return figure(
        "Leaked instances",
        "Instances that survived their removal, in the time range. From "
        "tonnage_agent_leaked_instances_total; rounded, as Prometheus extrapolates increases. "
        "tonnage clean removes them.",
        [Ask(asked, "leaked")],
        Numbers("none", steps=looks.ANY_IS_BAD, decimals=0),
        background=True,
    )


def _certificate() -> Panel:
    ends = (
        f"tonnage_agent_certificate_expiry_timestamp_seconds{{{OF_HOST}}}"
        " or tonnage_collector_certificate_expiry_timestamp_seconds"
    )
    return figure(
        "First certificate ends in",
        "Time until the first certificate of an agent, the collector or the authority ends. From "
        "tonnage_agent_ and tonnage_collector_certificate_expiry_timestamp_seconds. Agents renew "
        "theirs long before: a small figure means that renewal fails.",
        [Ask(f"min(({ends}) - time())", "left")],
        Numbers("s", steps=looks.DAYS_LEFT, low=None, nothing="no TLS"),
        background=True,
    )


def _alerts() -> Panel:
    by = "max by (alertname, severity, host)"
    return table_of(
        "Alerts in the time range",
        "Every alert of Tonnage that fired in the time range, the latest first; one that fires "
        "now was last seen seconds ago. From ALERTS. What to do is in docs/runbooks.md, under "
        "the alert's name.",
        [
            (Column(""), f"{by} (max_over_time({marks.FIRING}[$__range]))"),
            (
                Column("last fired", "dateTimeFromNow", width=180),
                f"{by} (last_over_time(timestamp({marks.FIRING})[$__range:$__interval])) * 1000",
            ),
        ],
        labels=[
            Column("severity", colors=looks.SEVERITIES, width=110),
            Column("alertname", width=300),
            Column("host", link=HOST_OF_ROW),
        ],
        sort="last fired",
        descending=True,
        nothing="No alert fired in this time range",
    )


def _by_host() -> Panel:
    def of(metric: str, more: str = "", how: str = "max") -> str:
        return f"{how} by (host) ({metric}{{{OF_HOST}{more}}})"

    ends = of("tonnage_agent_certificate_expiry_timestamp_seconds", ', certificate="agent"', "min")
    share = (
        f"max by (host) (tonnage_host_memory_available_bytes{{{OF_HOST}}}"
        f" / tonnage_host_memory_total_bytes{{{OF_HOST}}})"
    )
    spool = (
        f"max by (host) (tonnage_spool_bytes{{{OF_HOST}}} / tonnage_spool_limit_bytes{{{OF_HOST}}})"
    )
    return table_of(
        "Hosts",
        "One row a host, the longest silent first; click its name for the host in depth. State and "
        "silence are the collector's view (tonnage_collector_host_*), all else is scraped from "
        "agents: a row with a state and no figures is an agent that Prometheus does not reach. "
        "Headroom is that of the runtime with the least; it needs a density run of the host.",
        [
            (Column(""), f"max by (host, state) (tonnage_collector_host_state{{{OF_HOST}}} == 1)"),
            (
                Column("silent for", "s", looks.SINCE, decimals=0),
                f"time() - {of('tonnage_collector_host_last_seen_timestamp_seconds')}",
            ),
            (Column("own", "none"), of("tonnage_instances", f", {NO_MORE}", "sum")),
            (Column("observed", "none"), of("tonnage_observed_instances", f", {ALIVE}", "sum")),
            (
                Column("headroom", "percentunit", looks.HEADROOM),
                of("host_runtime:tonnage_density_headroom:ratio", "", "min"),
            ),
            (Column("memory free", "percentunit", looks.HEADROOM), share),
            (
                Column("CPU pressure", "percentunit", looks.PRESSURE),
                of("tonnage_host_pressure_ratio", ', resource="cpu"'),
            ),
            (
                Column("memory pressure", "percentunit", looks.PRESSURE),
                of("tonnage_host_pressure_ratio", ', resource="memory"'),
            ),
            (Column("spool", "percentunit", looks.FILL), spool),
            (Column("certificate", "s", looks.DAYS_LEFT), f"{ends} - time()"),
            (Column(""), f"max by (host, version) (tonnage_agent_info{{{OF_HOST}}})"),
        ],
        labels=[
            Column("host", link=HOST_OF_ROW),
            Column("state", colors=looks.HOST_STATES, width=100),
            Column("version", width=100),
        ],
        sort="silent for",
        descending=True,
    )


def _instances() -> Panel:
    own = f"sum by (runtime) (tonnage_instances{{{OF_RUNTIME}, {NO_MORE}}})"
    observed = f"sum by (runtime) (tonnage_observed_instances{{{OF_HOST}, {ALIVE}}})"
    return trend(
        "Instances by runtime",
        "What runs on the chosen hosts: Tonnage's own (tonnage_instances) and, where agents "
        "observe, what else there is (tonnage_observed_instances), which the choice of runtime "
        f"does not touch. Stacked; {_DRAWN}.",
        [Ask(own, "{{runtime}}, own"), Ask(observed, "{{runtime}}, observed")],
        Numbers("none", decimals=0),
        stacked=True,
    )


def _headroom() -> Panel:
    least = f"host_runtime:tonnage_density_headroom:ratio{{{OF_RUNTIME}}}"
    return bars(
        "Least headroom",
        "The 15 hosts and runtimes with the least room: 1 less instances over the limit, "
        "recorded as host_runtime:tonnage_density_headroom:ratio. Below 15 % an alert fires. A "
        "limit is of one workload: other instances may be larger or smaller.",
        [Ask(f"sort(bottomk(15, {least}))", "{{host}} · {{runtime}}")],
        Numbers(
            "percentunit", high=1, steps=looks.HEADROOM, link=HOST_OF_SERIES, by_value=True,
            nothing=looks.NO_LIMIT,
        ),
    )  # fmt: skip


def _runs_ended() -> Panel:
    asked = "sum by (state) (increase(tonnage_collector_runs_ended_total[$__rate_interval]))"
    return trend(
        "Runs ended",
        "Runs that ended, by how. From tonnage_collector_runs_ended_total. Partial means that a "
        "host was lost or failed: tonnage show says which.",
        [Ask(asked, "{{state}}")],
        Numbers("none", colors=looks.RUN_STATES),
        stacked=True,
        bars=True,
    )


def _events() -> Panel:
    asked = (
        f"sum by (host) (rate(tonnage_collector_events_total{{{OF_HOST}}}[$__rate_interval])) > 0"
    )
    return trend(
        "Events stored",
        "Events that the collector committed, by host, while there are any. From "
        "tonnage_collector_events_total.",
        [Ask(asked, "{{host}}")],
        Numbers("cps", link=HOST_OF_SERIES),
        stacked=True,
    )


def _commits() -> Panel:
    def quantile(of: str) -> str:
        inner = "sum by (le) (rate(tonnage_collector_commit_seconds_bucket[$__rate_interval]))"
        return f"histogram_quantile({of}, {inner})"

    return trend(
        "Time to commit a batch (bucket estimate)",
        "Estimated from the buckets of tonnage_collector_commit_seconds, commit included. Rising "
        "while agents' spools grow: the store is what is slow.",
        [Ask(quantile("0.5"), "p50"), Ask(quantile("0.95"), "p95")],
        Numbers("s"),
    )


def _collectors() -> Panel:
    return figure(
        "Collector",
        "The collector's version and the schema of its store, from tonnage_collector_info.",
        [Ask("max by (version, schema) (tonnage_collector_info)", "{{version}}, {{schema}}")],
        Numbers("none", mapping=looks.words({"1": looks.GOOD}, {"1": "up"})),
        named_values=True,
    )


def _store() -> Panel:
    return figure(
        "Store",
        "What the store takes on disk, from tonnage_collector_store_bytes. Retention keeps it in "
        "bounds where it is configured.",
        [Ask("max(tonnage_collector_store_bytes)", "store")],
        Numbers("bytes"),
        spark=True,
    )


def _failures() -> Panel:
    asked = "round(sum(increase(tonnage_collector_store_failures_total[$__range])))"
    return figure(
        "Failures of the store",
        "Times that the store failed in the time range, from "
        "tonnage_collector_store_failures_total. Agents keep their events until it works again.",
        [Ask(asked, "failures")],
        Numbers("none", steps=looks.ANY_IS_BAD, decimals=0),
    )


def _missing() -> Panel:
    return figure(
        "Results not kept yet",
        "Runs that ended and whose aggregates are not kept yet, from "
        "tonnage_collector_results_missing; a few for a moment after each run is usual.",
        [Ask("max(tonnage_collector_results_missing)", "missing")],
        Numbers("none", steps=looks.ANY_IS_FAIR, decimals=0),
    )
