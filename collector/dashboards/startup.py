"""Start-up: how long starts take, where the time goes, and what a VM costs over a container."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from collector.dashboards import looks, marks, variables
from collector.dashboards.links import HOST_OF_ROW, HOST_OF_SERIES
from collector.dashboards.page import Line, Opened, Section, page
from collector.dashboards.panels import Numbers, bars, figure, heat, trend
from collector.dashboards.sources import LAYERS, OF_HOST, OF_RESULT, OF_RUNTIME, SUBJECT, Ask
from collector.dashboards.tables import Column, grouped, table_of

_OF_START = f'{OF_RESULT}, mode=~"$mode"'
_OF_LIVE = f'{OF_RUNTIME}, mode=~"$mode"'
_STATISTIC = "tonnage_start_statistic_seconds"
_LEVEL = f"{SUBJECT}, concurrency"
_PAIR = "{{host}} · {{runtime}} {{accelerator}} {{mode}} ×{{concurrency}}"
_PHASES = ("accept", "create", "machine", "kernel", "init", "restore", "userspace")


def dashboard() -> Dashboard:
    """Raw-sample statistics are the record; buckets say what goes on between runs."""
    statistic = variables.custom("statistic", "Quantile", ("p50", "p95", "p99"), "p95")
    return page(
        "startup",
        "Start-up",
        "How long starts take, from request to ready. Statistics of raw samples are the record; "
        "what is estimated from buckets says so. Needs Prometheus alone.",
        variables=[
            variables.of_prometheus(),
            variables.hosts(),
            variables.runtimes(),
            variables.workloads(),
            variables.modes(),
            statistic,
        ],
        annotations=[marks.alerts(), marks.runs_of_hosts()],
        opened=Opened("now-24h"),
        sections=[
            Section(
                "How long do starts take, by the latest run of each subject?",
                [Line(9, [(16, _latest()), (8, _against_containers())])],
            ),
            Section(
                "Does it change?",
                [Line(9, [(12, _live()), (12, _recorded())]),
                 Line(9, [(7, _containers()), (7, _machines()), (6, _outcomes()),
                         (4, _failures())])],
            ),
            Section(
                "Where does the time go?",
                [
                    Line(9, [(12, _phases()), (12, _live_phases())]),
                    Line(9, [(12, _layers()), (12, _modes())]),
                ],
            ),
            Section(
                "And what starts without an experiment?",
                [Line(8, [(12, _observed()), (12, _observed_count())])],
            ),
        ],
    )  # fmt: skip


def _latest() -> Panel:
    def statistic(name: str) -> str:
        return f'max by ({_LEVEL}) ({_STATISTIC}{{{_OF_START}, statistic="{name}"}})'

    def attempts(outcome: str) -> str:
        return f'max by ({_LEVEL}) (tonnage_start_attempts{{{_OF_START}, outcome="{outcome}"}})'

    age = f'tonnage_result_age_seconds{{{_OF_START}, experiment="startup"}}'
    return table_of(
        "Latest results, from raw samples",
        "Statistics over every raw sample of the latest finished run of each subject "
        "(tonnage_start_statistic_seconds), with the attempts behind them "
        "(tonnage_start_attempts). An empty quantile had too few samples: p95 needs 60, p99 "
        "needs 300. A failed start has no duration: read the failures beside the quantiles.",
        [
            (Column("p50", "s"), statistic("p50")),
            (Column("p95", "s"), statistic("p95")),
            (Column("p99", "s"), statistic("p99")),
            (Column("ready", "none"), attempts("ready")),
            (Column("failed", "none", looks.ANY_IS_BAD), attempts("failed")),
            (Column("timed out", "none", looks.ANY_IS_BAD), attempts("timed_out")),
            (
                Column("age", "s", looks.AGE),
                (
                    f"{attempts('ready')} * 0"
                    f" + on ({SUBJECT}) group_left () max by ({SUBJECT}) ({age})"
                ),
            ),
        ],
        labels=[
            Column("host", link=HOST_OF_ROW),
            Column("runtime"),
            Column("accelerator", width=100),
            Column("mode", width=70),
            Column("workload"),
            Column("memory", "bytes"),
            Column("concurrency", "none", width=95),
        ],
        without=("variant", "network"),
        sort="p50",
        nothing="no start-up run yet",
    )  # fmt: skip


def _against_containers() -> Panel:
    same = "host, mode, network, workload, concurrency"
    machine = f'{_STATISTIC}{{{_OF_START}, statistic="p50", accelerator!="none"}}'
    container = (
        f'{_STATISTIC}{{{OF_HOST}, workload=~"$workload", mode=~"$mode", statistic="p50",'
        ' accelerator="none"}'
    )
    asked = (
        f"max by ({same}, runtime, accelerator) ({machine})"
        f" / on ({same}) group_left () min by ({same}) ({container})"
    )
    return bars(
        "A VM's start, as a multiple of a container's",
        "Median of each VM runtime over that of the fastest container runtime with the same host, "
        "mode, network, workload and concurrency; both from raw samples of their latest runs "
        "(tonnage_start_statistic_seconds), which need not be one run. tcg is software: it says "
        "nothing of kvm. For intervals and a verdict: tonnage report.",
        [Ask(f"sort_desc({asked})", _PAIR)],
        Numbers("suffix:×", steps=looks.NEUTRAL, link=HOST_OF_SERIES, by_value=True, decimals=1,
                nothing="no pair of container and VM"),
    )  # fmt: skip


def _live() -> Panel:
    return trend(
        "${statistic} of live starts (bucket estimate)",
        "Estimated over 5 minutes from buckets of tonnage_start_seconds, ready starts alone, "
        "recorded as host_runtime:tonnage_start_seconds:p50_5m, p95_5m, p99_5m. An estimate is no "
        "finer than its bucket, has no count beside it, and mixes workloads: agents do not label "
        "them. The record is to the right.",
        [
            Ask(
                f"host_runtime:tonnage_start_seconds:${{statistic}}_5m{{{_OF_LIVE}}}",
                "{{host}} · {{runtime}} {{accelerator}} {{mode}}",
            )
        ],
        Numbers("s", link=HOST_OF_SERIES, nothing="no start in this time range"),
        log=True,
    )


def _recorded() -> Panel:
    asked = f'max by ({_LEVEL}) ({_STATISTIC}{{{_OF_START}, statistic="${{statistic}}"}})'
    return trend(
        "${statistic} by the latest run (raw samples)",
        "Over every raw sample of the latest finished run of each subject, held until the next: a "
        "step is a new run. From tonnage_start_statistic_seconds. Missing where the run had too "
        "few samples for this quantile.",
        [
            Ask(
                asked,
                "{{host}} · {{runtime}} {{accelerator}} {{mode}} · {{workload}} ×{{concurrency}}",
            )
        ],
        Numbers("s", link=HOST_OF_SERIES, nothing="too few samples for this quantile"),
        stairs=True,
        log=True,
    )


def _heat(title: str, accelerator: str, about: str) -> Panel:
    counted = (
        f'tonnage_start_seconds_bucket{{{_OF_LIVE}, outcome="ready", accelerator{accelerator}}}'
    )
    return heat(
        title,
        f"Starts that became ready, by duration: {about}. From buckets of tonnage_start_seconds. "
        "Two bands are two kinds of starts: a mean would hide both.",
        Ask(f"sum by (le) (increase({counted}[$__rate_interval]))", "{{le}}"),
        Numbers("s", nothing="no start in this time range"),
    )


def _containers() -> Panel:
    return _heat("Starts of containers", '="none"', "runtimes without an accelerator")


def _machines() -> Panel:
    return _heat("Starts of VMs", '!="none"', "runtimes with an accelerator, kvm or tcg")


def _outcomes() -> Panel:
    counted = f"tonnage_start_seconds_count{{{_OF_LIVE}}}"
    return trend(
        "Starts by outcome",
        "How many starts ended how, from tonnage_start_seconds_count: what the quantiles beside "
        "it rest on, and what they do not show.",
        [Ask(f"sum by (outcome) (increase({counted}[$__rate_interval]))", "{{outcome}}")],
        Numbers("none", colors=looks.OUTCOMES),
        stacked=True,
        bars=True,
    )


def _phases() -> Panel:
    def phase(name: str) -> str:
        found = f'tonnage_start_phase_seconds{{{_OF_START}, phase="{name}"}}'
        parts = '"host", "runtime", "accelerator", "mode", "workload"'
        return f'max by (subject) (label_join({found}, "subject", " · ", {parts}))'

    return grouped(
        "Median of each phase, by the latest run (raw samples)",
        "From tonnage_start_phase_seconds. Containers have no machine and no kernel: that absence "
        "is what they save. Whole servers alone have init. Medians of phases need not add up to "
        "the median of the whole; of several sizes and concurrencies the slowest is shown.",
        [(name, phase(name)) for name in _PHASES],
        Numbers("s", nothing="no start-up run yet"),
        stacked=True,
    )


def _layers() -> Panel:
    timed = ("engine", "guest_kernel", "guest_userspace", "application", "unexplained")

    def layer(label: str) -> str:
        found = f'tonnage_layer_seconds{{{_OF_START}, layer="{label}"}}'
        parts = '"host", "runtime", "accelerator", "variant", "mode", "workload"'
        return f'max by (subject) (label_join({found}, "subject", " · ", {parts}))'

    return grouped(
        "What a start stands on, by layer",
        "tonnage_layer_seconds of the latest run: medians of the time in engine or hypervisor, "
        "guest kernel, guest user space and application, at the lowest concurrency. A container "
        "has no guest to boot.",
        [(LAYERS[label], layer(label)) for label in timed],
        Numbers("s", nothing="no start-up run yet"),
        stacked=True,
    )


def _modes() -> Panel:
    def mode(name: str) -> str:
        of = f'{OF_RESULT}, statistic="p50", mode="{name}"'
        parts = '"host", "runtime", "accelerator", "variant", "workload"'
        found = f'label_join({_STATISTIC}{{{of}}}, "subject", " · ", {parts})'
        return f"max by (subject) ({found})"

    return grouped(
        "Median start by mode: cold, warm, restored",
        "tonnage_start_statistic_seconds of the latest run of each subject and mode, whatever mode "
        "is chosen above. Cold: what the start reads was evicted from the page cache first; "
        "restore: from a snapshot taken once ready, where the runtime has such.",
        [(name, mode(name)) for name in ("cold", "warm", "restore")],
        Numbers("s", nothing="no start-up run yet"),
        log=True,
    )


def _live_phases() -> Panel:
    def sums(what: str) -> str:
        found = f"tonnage_phase_seconds_{what}{{{_OF_LIVE}}}[$__rate_interval]"
        return f"sum by (runtime, accelerator, phase) (rate({found}))"

    return trend(
        "Mean of each phase, live",
        "Sum over count of tonnage_phase_seconds, over the chosen hosts: which phase became "
        "slower, and when. A mean: one slow start moves it.",
        [Ask(f"{sums('sum')} / {sums('count')}", "{{runtime}} {{accelerator}} · {{phase}}")],
        Numbers("s", nothing="no start in this time range"),
        log=True,
    )


def _observed() -> Panel:
    def quantile(of: str) -> str:
        found = f"tonnage_observed_start_seconds_bucket{{{OF_HOST}}}[1h]"
        return f"histogram_quantile({of}, sum by (le, host, runtime) (rate({found})))"

    return trend(
        "Starts that Tonnage did not make (bucket estimate)",
        "Containers that others started, seen in the engine's events: create to start as the "
        "engine tells it, which is not Tonnage's request to ready. Over the hour before each "
        "point, as such starts are rare; from tonnage_observed_start_seconds. Needs observe = "
        "true at the agent.",
        [
            Ask(quantile("0.5"), "{{host}} · {{runtime}} p50"),
            Ask(quantile("0.95"), "{{host}} · {{runtime}} p95"),
        ],
        Numbers("s", link=HOST_OF_SERIES, nothing="none observed in this time range"),
    )


def _observed_count() -> Panel:
    found = f"tonnage_observed_start_seconds_count{{{OF_HOST}}}[$__rate_interval]"
    return trend(
        "How many of them",
        "Starts that others made, from tonnage_observed_start_seconds_count. A host where they "
        "are many and slow at once is one that restarts in a loop, or is full.",
        [Ask(f"sum by (host, runtime) (increase({found}))", "{{host}} · {{runtime}}")],
        Numbers("none", link=HOST_OF_SERIES, nothing="none observed"),
        bars=True,
        stacked=True,
    )


def _failures() -> Panel:
    return figure(
        "Worst share of failed starts",
        "The highest share of live starts that did not become ready within an hour, of any host "
        "and runtime chosen; recorded as host_runtime:tonnage_start_failures:ratio_1h. 0 also "
        "where nothing was started.",
        [Ask(f"max(host_runtime:tonnage_start_failures:ratio_1h{{{OF_RUNTIME}}}) or vector(0)")],
        Numbers("percentunit", high=1, steps=looks.FAILURES),
        background=True,
    )
