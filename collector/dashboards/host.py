"""Host: one host in depth."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from collector.dashboards import looks, marks, variables
from collector.dashboards.page import Line, Section, page
from collector.dashboards.panels import Numbers, figure, states, trend
from collector.dashboards.sources import Ask

_IT = 'host="$host"'
_HEALTH = {"0": looks.BAD, "1": looks.GOOD}
_HEALTHY = looks.words(_HEALTH, {"0": "failing", "1": "healthy"})


def dashboard() -> Dashboard:
    """Where the links of all other dashboards lead."""
    return page(
        "host",
        "Host",
        "One host in depth: its state, its pressure, what runs on it, and what Tonnage itself "
        "costs there. Needs Prometheus alone.",
        variables=[variables.of_prometheus(), variables.one_host()],
        annotations=[marks.alerts(), marks.runs_of_hosts()],
        sections=[
            Section(
                "Is $host all right?",
                [
                    Line(4, [(4, _state()), (4, _silent()), (4, _firing()), (4, _headroom()),
                             (4, _run()), (4, _version())]),
                ],
            ),
            Section(
                "Is it under pressure?",
                [Line(8, [(8, _pressure()), (8, _memory()), (8, _disk())])],
            ),
            Section(
                "What runs on it, and what does it cost?",
                [Line(9, [(10, _instances()), (10, _observed()), (4, _looked())]),
                 Line(8, [(8, _starts()), (8, _instance_memory()), (8, _observed_memory())])],
            ),
            Section(
                "Can its runtimes and probes be trusted?",
                [Line(7, [(8, _runtimes()), (8, _probes()), (8, _probe_time())])],
            ),
            Section(
                "What does the agent itself cost, and does it lose nothing?",
                [Line(8, [(6, _cpu()), (6, _resident()), (6, _spool()), (6, _events())]),
                 Line(4, [(8, _trouble()), (8, _contact()), (8, _certificate())])],
            ),
        ],
    )  # fmt: skip


def _state() -> Panel:
    return figure(
        "State",
        "The host's state by the collector's view of its lease, from "
        "tonnage_collector_host_state: suspect missed one, lost was silent for longer, draining "
        "takes no new run.",
        [Ask(f"max by (state) (tonnage_collector_host_state{{{_IT}}} == 1)", "{{state}}")],
        Numbers("none", colors=looks.HOST_STATES, nothing="unknown host",
                mapping=looks.words({"1": looks.PLAIN}, {"1": " "})),
        named_values=True,
    )  # fmt: skip


def _silent() -> Panel:
    seen = f"tonnage_collector_host_last_seen_timestamp_seconds{{{_IT}}}"
    return figure(
        "Silent for",
        "Time since the collector last heard of the agent, from "
        "tonnage_collector_host_last_seen_timestamp_seconds. An agent registers each lease.",
        [Ask(f"time() - max({seen})")],
        Numbers("s", steps=looks.SINCE, decimals=0),
        background=True,
    )


def _firing() -> Panel:
    asked = f'count(ALERTS{{alertname=~"Tonnage.+", alertstate="firing", {_IT}}}) or vector(0)'
    return figure(
        "Alerts firing",
        "Alerts of Tonnage's rules that fire now for this host, from ALERTS.",
        [Ask(asked)],
        Numbers("none", steps=looks.ANY_IS_BAD, decimals=0),
        background=True,
    )


def _headroom() -> Panel:
    return figure(
        "Headroom",
        "1 less instances over the limit, by runtime: "
        "host_runtime:tonnage_density_headroom:ratio. An alert fires below 15 %.",
        [
            Ask(
                f"min by (runtime) (host_runtime:tonnage_density_headroom:ratio{{{_IT}}})",
                "{{runtime}}",
            )
        ],
        Numbers("percentunit", low=None, steps=looks.HEADROOM, nothing=looks.NO_LIMIT),
        named_values=True,
    )


def _run() -> Panel:
    return figure(
        "Run",
        "Whether the agent carries out a run now, from tonnage_agent_run_active. While it does, "
        "what is live here is the experiment's.",
        [Ask(f"max(tonnage_agent_run_active{{{_IT}}})")],
        Numbers(
            "none",
            mapping=looks.words({"0": looks.PLAIN, "1": "blue"}, {"0": "none", "1": "active"}),
        ),
    )


def _version() -> Panel:
    return figure(
        "Agent",
        "The agent's version, from tonnage_agent_info: there while Prometheus reaches the agent.",
        [Ask(f"max by (version) (tonnage_agent_info{{{_IT}}})", "{{version}}")],
        Numbers("none", mapping=looks.words({"1": looks.GOOD}, {"1": "up"}), nothing="down"),
        named_values=True,
    )


def _pressure() -> Panel:
    return trend(
        "Pressure",
        "Share of time that some task waited for CPU, memory or I/O, over ten seconds: the "
        "kernel's PSI, from tonnage_host_pressure_ratio. Empty on a kernel without PSI. Memory "
        "above a few per cent is a host that is too full.",
        [Ask(f"max by (resource) (tonnage_host_pressure_ratio{{{_IT}}})", "{{resource}}")],
        Numbers("percentunit", high=1, steps=looks.PRESSURE, nothing="no PSI on this host"),
    )


def _memory() -> Panel:
    total = f"max(tonnage_host_memory_total_bytes{{{_IT}}})"
    return trend(
        "Memory",
        "Memory that is not available (total less MemAvailable), below what the host has, dashed. "
        "From tonnage_host_memory_total_bytes and tonnage_host_memory_available_bytes. Page "
        "cache counts as available.",
        [
            Ask(f"{total} - max(tonnage_host_memory_available_bytes{{{_IT}}})", "in use"),
            Ask(total, "total"),
        ],
        Numbers("bytes"),
        dash="^total$",
    )


def _disk() -> Panel:
    return trend(
        "Free disk",
        "Free bytes on the disk of the agent's data, where spool and journal are; from "
        "tonnage_host_disk_free_bytes. A guard stops runs before it is full.",
        [Ask(f"min(tonnage_host_disk_free_bytes{{{_IT}}})", "free")],
        Numbers("bytes"),
    )


def _instances() -> Panel:
    return trend(
        "Tonnage's instances",
        "By runtime and state, from tonnage_instances. Orphaned ones could not be removed yet: the "
        "janitor goes on trying. Outside a run there should be none.",
        [
            Ask(
                f"sum by (runtime, state) (tonnage_instances{{{_IT}}})",
                "{{runtime}} {{state}}",
            )
        ],
        Numbers("none", decimals=0),
        stacked=True,
    )


def _observed() -> Panel:
    return trend(
        "What else runs here",
        "Containers and VMs that Tonnage did not start, by runtime and state, read-only; from "
        "tonnage_observed_instances. Needs observe = true at the agent.",
        [
            Ask(
                f"sum by (runtime, state) (tonnage_observed_instances{{{_IT}}})",
                "{{runtime}} {{state}}",
            )
        ],
        Numbers("none", decimals=0, nothing="the agent does not observe"),
        stacked=True,
    )


def _starts() -> Panel:
    return trend(
        "Start-up, p50 and p95 (bucket estimate)",
        "Live starts over 5 minutes, from the recorded host_runtime:tonnage_start_seconds:p50_5m "
        "and p95_5m: estimates from buckets. Raw-sample statistics are on Start-up.",
        [
            Ask(
                f"host_runtime:tonnage_start_seconds:{name}_5m{{{_IT}}}",
                f"{{{{runtime}}}} {{{{accelerator}}}} {{{{mode}}}} {name}",
            )
            for name in ("p50", "p95")
        ],
        Numbers("s", nothing="no start in this time range"),
        log=True,
    )


def _instance_memory() -> Panel:
    return trend(
        "Memory per instance",
        "What the agent read per instance when it last measured, by estimator; from "
        "tonnage_instance_memory_bytes. Slopes, which are the record, are on Footprint.",
        [
            Ask(
                "max by (runtime, accelerator, estimator)"
                f" (tonnage_instance_memory_bytes{{{_IT}}})",
                "{{runtime}} {{accelerator}} · {{estimator}}",
            )
        ],
        Numbers("bytes", nothing="nothing measured yet"),
    )


def _observed_memory() -> Panel:
    return trend(
        "Memory of what else runs here",
        "Sum over the observed containers and VMs, by estimator; from "
        "tonnage_observed_memory_bytes. The estimators count different things. A gap while "
        "some were not read yet (tonnage_observed_unread_instances): a part is no sum.",
        [
            Ask(
                f"max by (runtime, estimator) (tonnage_observed_memory_bytes{{{_IT}}})",
                "{{runtime}} · {{estimator}}",
            )
        ],
        Numbers("bytes", nothing="the agent does not observe"),
    )


def _looked() -> Panel:
    seen = f"tonnage_observed_round_timestamp_seconds{{{_IT}}}"
    return figure(
        "Looked at before",
        "Time since the agent last looked at what else runs here, from "
        "tonnage_observed_round_timestamp_seconds. It does not while a run is at work: what is "
        "shown is then as old as this.",
        [Ask(f"time() - max by (runtime) ({seen})", "{{runtime}}")],
        Numbers("s", steps=looks.SINCE, decimals=0, nothing="the agent does not observe"),
        named_values=True,
    )


def _runtimes() -> Panel:
    return states(
        "Runtimes",
        "Whether each runtime can launch, by the agent's own check; from tonnage_runtime_healthy. "
        "Why not: tonnage hosts.",
        [Ask(f"max by (runtime) (tonnage_runtime_healthy{{{_IT}}})", "{{runtime}}")],
        Numbers("none", mapping=_HEALTHY, by_value=True, steps=looks.ZERO_IS_BAD),
    )


def _probes() -> Panel:
    return states(
        "Probes",
        "Whether each probe's last reading succeeded, from tonnage_probe_success. One that the "
        "kernel does not offer is no failure.",
        [Ask(f"max by (probe) (tonnage_probe_success{{{_IT}}})", "{{probe}}")],
        Numbers("none", mapping=_HEALTHY, by_value=True, steps=looks.ZERO_IS_BAD),
    )


def _probe_time() -> Panel:
    def sums(what: str) -> str:
        return f"sum by (probe) (rate(tonnage_probe_seconds_{what}{{{_IT}}}[$__rate_interval]))"

    return trend(
        "Mean time of a reading",
        "Sum over count of tonnage_probe_seconds, by probe. Grows with the number of instances: "
        "pss reads every process.",
        [Ask(f"{sums('sum')} / {sums('count')}", "{{probe}}")],
        Numbers("s", nothing="no reading in this time range"),
        log=True,
    )


def _cpu() -> Panel:
    return trend(
        "Agent's CPU",
        "CPU time of the agent as a share of the whole host's, from "
        "tonnage_agent_process_cpu_seconds_total over tonnage_host_cpus. What it takes, the "
        "instances do not get.",
        [
            Ask(
                f"max(rate(tonnage_agent_process_cpu_seconds_total{{{_IT}}}[$__rate_interval]))"
                f" / max(tonnage_host_cpus{{{_IT}}})",
                "agent",
            )
        ],
        Numbers("percentunit"),
    )


def _resident() -> Panel:
    return trend(
        "Agent's memory",
        "Resident memory of the agent, from tonnage_agent_process_resident_memory_bytes.",
        [Ask(f"max(tonnage_agent_process_resident_memory_bytes{{{_IT}}})", "resident")],
        Numbers("bytes"),
    )


def _spool() -> Panel:
    return trend(
        "Spool",
        "What events take on the agent's disk, from tonnage_spool_bytes. Grows while the collector "
        "does not fetch them; its share of the limit is on Fleet overview, and at the limit a run "
        "stops.",
        [Ask(f"max(tonnage_spool_bytes{{{_IT}}})", "spool")],
        Numbers("bytes"),
    )


def _events() -> Panel:
    return trend(
        "Events that wait",
        "Events that are not on disk yet (tonnage_agent_spool_pending_events), and events on disk "
        "that the collector has not acknowledged (tonnage_agent_spool_unacknowledged_events).",
        [
            Ask(f"max(tonnage_agent_spool_pending_events{{{_IT}}})", "for the disk"),
            Ask(f"max(tonnage_agent_spool_unacknowledged_events{{{_IT}}})", "for the collector"),
        ],
        Numbers("none"),
    )


def _trouble() -> Panel:
    def counted(metric: str) -> str:
        return f"round(sum(increase({metric}{{{_IT}}}[$__range])) or vector(0))"

    return figure(
        "Guards tripped and instances leaked",
        "In the time range: times that a guard stopped a run to protect the host "
        "(tonnage_agent_guard_trips_total; the run says which), and instances that survived their "
        "removal (tonnage_agent_leaked_instances_total). 0 also where the agent was not scraped.",
        [
            Ask(counted("tonnage_agent_guard_trips_total"), "guards"),
            Ask(counted("tonnage_agent_leaked_instances_total"), "leaked"),
        ],
        Numbers("none", steps=looks.ANY_IS_BAD, decimals=0),
        named_values=True,
    )


def _contact() -> Panel:
    at = f"tonnage_agent_collector_contact_timestamp_seconds{{{_IT}}}"
    return figure(
        "Last taken by the collector",
        "Time since a registration of the agent was last taken, by the agent's own view: "
        "tonnage_agent_collector_contact_timestamp_seconds. An agent works on without a collector.",
        [Ask(f"time() - max({at})")],
        Numbers("s", steps=looks.SINCE, decimals=0, nothing="never"),
        background=True,
    )


def _certificate() -> Panel:
    ends = f"tonnage_agent_certificate_expiry_timestamp_seconds{{{_IT}}}"
    return figure(
        "Certificates end in",
        "Time until the agent's certificate and the authority's end, from "
        "tonnage_agent_certificate_expiry_timestamp_seconds. The agent renews its own.",
        [Ask(f"min by (certificate) ({ends}) - time()", "{{certificate}}")],
        Numbers("s", low=None, steps=looks.DAYS_LEFT, nothing="no TLS"),
        named_values=True,
    )
