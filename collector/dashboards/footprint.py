"""Footprint: what one more instance costs, by every estimator, and whether they agree."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from collector.dashboards import looks, marks, variables
from collector.dashboards.links import HOST_OF_ROW, HOST_OF_SERIES
from collector.dashboards.page import Line, Opened, Section, page
from collector.dashboards.panels import Numbers, bars, trend
from collector.dashboards.sources import ALIVE, LAYERS, OF_HOST, OF_RESULT, OF_RUNTIME, SUBJECT, Ask
from collector.dashboards.tables import Column, grouped, table_of

_MEMORY = ("mem_available", "pss", "cgroup")
_ALL = "mem_available|pss|cgroup"
_SERIES = "{{host}} · {{runtime}} {{accelerator}} · {{workload}}"


def _bytes(estimator: str) -> str:
    return f'tonnage_footprint_bytes{{{OF_RESULT}, estimator=~"{estimator}"}}'


def _slope(estimator: str) -> str:
    return f"max by ({SUBJECT}) ({_bytes(estimator)})"


def dashboard() -> Dashboard:
    """For who pays for the memory."""
    return page(
        "footprint",
        "Footprint",
        "What one more instance costs in memory and disk: slopes over the number of instances, by "
        "estimators that are published side by side. Needs Prometheus alone.",
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
                "What does one more instance cost, by the latest run of each subject?",
                [
                    Line(10, [(14, _estimators()), (10, _against_containers())]),
                    Line(9, [(24, _layers())]),
                    Line(9, [(24, _latest())]),
                ],
            ),
            Section(
                "Do the estimators agree?",
                [Line(9, [(12, _disagreement()), (12, _over_time())])],
            ),
            Section(
                "What is in use now?",
                [Line(9, [(12, _live()), (12, _observed())])],
            ),
        ],
    )


def _estimators() -> Panel:
    parts = '"host", "runtime", "accelerator", "workload", "memory"'

    def bar(estimator: str) -> str:
        labelled = f'label_join({_bytes(estimator)}, "subject", " · ", {parts})'
        return f"max by (subject) ({labelled})"

    return grouped(
        "Memory of one more instance, by estimator",
        "tonnage_footprint_bytes: the slope over N of the latest run. mem_available: all it costs "
        "the host, the kernel and engine included; pss: its processes, shared pages once; cgroup: "
        "what its group is charged, page cache too. The subject ends with the memory asked for, "
        "in bytes.",
        [(each, bar(each)) for each in _MEMORY],
        Numbers("bytes", nothing="no footprint run yet"),
    )


def _layers() -> Panel:
    parts = '"host", "runtime", "accelerator", "variant", "workload", "memory"'

    def layer(label: str) -> str:
        found = f'tonnage_layer_bytes{{{OF_RESULT}, layer="{label}"}}'
        return f'max by (subject) (label_join({found}, "subject", " · ", {parts}))'

    return grouped(
        "What one more instance stands on, by layer",
        "tonnage_layer_bytes of the latest run, from the host up. A container has no guest; what a "
        "guest has touched and uses no more stays with it. Unexplained is what MemAvailable fell "
        "by beyond all layers, mostly the host's kernel: below zero, layers count more than it "
        "fell.",
        [(name, layer(label)) for label, name in LAYERS.items()],
        Numbers("bytes", nothing="no footprint run yet"),
        stacked=True,
    )


def _against_containers() -> Panel:
    same = "host, network, workload, estimator"
    of = f'{OF_HOST}, workload=~"$workload", estimator=~"{_ALL}"'
    machine = f'tonnage_footprint_bytes{{{OF_RESULT}, estimator=~"{_ALL}", accelerator!="none"}}'
    container = f'tonnage_footprint_bytes{{{of}, accelerator="none"}} > 0'
    asked = (
        f"min by ({same}, runtime, accelerator) ({machine})"
        f" / on ({same}) group_left () min by ({same}) ({container})"
    )
    return bars(
        "A VM's memory, as a multiple of a container's",
        "tonnage_footprint_bytes of the smallest VM over that of the smallest container with the "
        "same host, network, workload and estimator, each from its latest run. For intervals and "
        "a verdict: tonnage report.",
        [Ask(f"sort_desc({asked})", "{{host}} · {{runtime}} {{accelerator}} · {{estimator}}")],
        Numbers("suffix:×", decimals=1, link=HOST_OF_SERIES, by_value=True,
                nothing="no pair of container and VM"),
    )  # fmt: skip


def _latest() -> Panel:
    age = f'tonnage_result_age_seconds{{{OF_RESULT}, experiment="footprint"}}'
    names = {
        "host memory": "mem_available",
        "PSS": "pss",
        "cgroup": "cgroup",
        "VMM overhead": "vmm_overhead",
        "engine": "engine",
        "disk, each": "disk_marginal",
        "disk, once": "disk_base",
    }
    return table_of(
        "Every estimator",
        "tonnage_footprint_bytes of each subject's latest run. VMM overhead is PSS of the VMM "
        "outside guest RAM, of VMs alone; engine is the growth of the engine's daemons for each "
        "instance; disk once is image, kernel and initramfs. Empty: not read on this host, or no "
        "slope could be told; tonnage show says why.",
        [
            *((Column(name, "bytes"), _slope(estimator)) for name, estimator in names.items()),
            (Column("age", "s", looks.AGE), f"max by ({SUBJECT}) ({age})"),
        ],
        labels=[
            Column("host", link=HOST_OF_ROW),
            Column("runtime"),
            Column("accelerator", width=100),
            Column("workload"),
            Column("memory", "bytes"),
        ],
        without=("variant", "mode", "network"),
        sort="host memory",
        descending=True,
        nothing="no footprint run yet",
    )


def _disagreement() -> Panel:
    asked = f"max by ({SUBJECT}) ({_bytes(_ALL)} > 0) / min by ({SUBJECT}) ({_bytes(_ALL)} > 0)"
    return bars(
        "Largest estimate over smallest",
        "How far mem_available, pss and cgroup are apart for one subject "
        "(tonnage_footprint_bytes). They count different things, so 1 is not to be expected; a "
        "subject far above others of its runtime was measured on a host that was not quiet, or "
        "shares much.",
        [Ask(f"sort_desc({asked})", _SERIES)],
        Numbers("suffix:×", low=1, decimals=2, steps=looks.DISAGREEMENT, link=HOST_OF_SERIES,
                by_value=True, nothing="no footprint run yet"),
    )  # fmt: skip


def _over_time() -> Panel:
    return trend(
        "Memory of one more instance over time",
        "tonnage_footprint_bytes, held from run to run: a step is a new run. Growth after an "
        "upgrade of engine, kernel or image shows here.",
        [Ask(f"max by ({SUBJECT}, estimator) ({_bytes(_ALL)})", f"{_SERIES} · {{{{estimator}}}}")],
        Numbers("bytes", link=HOST_OF_SERIES, nothing="no footprint run yet"),
        stairs=True,
    )


def _live() -> Panel:
    found = f"tonnage_instance_memory_bytes{{{OF_RUNTIME}}}"
    return trend(
        "Memory per instance in the latest measurement",
        "tonnage_instance_memory_bytes: what agents read when they last measured, in footprint "
        "runs and ramps, divided by the instances there were. Not a slope: what is there "
        "once is in it.",
        [
            Ask(
                f"max by (host, runtime, accelerator, estimator) ({found})",
                "{{host}} · {{runtime}} {{accelerator}} · {{estimator}}",
            )
        ],
        Numbers("bytes", link=HOST_OF_SERIES, nothing="nothing measured yet"),
    )


def _observed() -> Panel:
    by = "by (host, runtime, estimator)"
    total = f"sum {by} (tonnage_observed_memory_bytes{{{OF_HOST}}})"
    count = f"sum by (host, runtime) (tonnage_observed_instances{{{OF_HOST}, {ALIVE}}} > 0)"
    return trend(
        "Memory per instance that Tonnage did not start",
        "tonnage_observed_memory_bytes over tonnage_observed_instances: the mean of what already "
        "runs, by the same estimators, where agents observe. Compare with the footprint of the "
        "workload that limits were measured with.",
        [
            Ask(
                f"{total} / on (host, runtime) group_left () {count}",
                "{{host}} · {{runtime}} · {{estimator}}",
            )
        ],
        Numbers("bytes", link=HOST_OF_SERIES, nothing="none observed"),
    )
