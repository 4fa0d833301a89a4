"""Every metric of the collector, by name, in one place.

``tonnage_collector_`` is the collector itself. ``tonnage_`` without it is what
was measured: each gauge holds the latest finished run of its subject until the
next, with its age beside it. Labels are bounded: hosts and subjects, the oldest
subjects dropped beyond a cap; never a run, a trial or an instance.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.reports.model import Result, Subject
from tonnage.model import RunState

_SUBJECT = ("host", "runtime", "accelerator", "variant", "mode", "network", "workload", "memory")
_MOST_SUBJECTS = 500
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

Labels = tuple[str, ...]
Values = dict[tuple[str, Labels], float]


class Metrics:
    """The collector's metrics in a registry of their own; safe in any thread."""

    def __init__(self, version: str, schema: str, results: LatestResults | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap
        self.registry = registry = CollectorRegistry()
        self.results = results or LatestResults()
        registry.register(self.results)
        ProcessCollector("tonnage_collector", registry=registry)
        Gauge(
            "tonnage_collector_info",
            "Always 1; the collector's version and the schema of its store.",
            ("version", "schema"),
            registry=registry,
        ).labels(version, schema).set(1)
        self._events = Counter(
            "tonnage_collector_events_total", "Events stored.", ("host",), registry=registry
        )
        self._commit = Histogram(
            "tonnage_collector_commit_seconds",
            "Time to store a batch of events, commit included.",
            buckets=_COMMIT_BUCKETS,
            registry=registry,
        )
        self._retries = Counter(
            "tonnage_collector_retries_total",
            "Times a host was tried again after a failure.",
            ("host",),
            registry=registry,
        )
        self._ended = Counter(
            "tonnage_collector_runs_ended_total", "Runs ended.", ("state",), registry=registry
        )
        for state in RunState:
            if state.ended:
                self._ended.labels(state.value)

    def watch(
        self,
        hosts: Callable[[], Mapping[str, int]],
        runs: Callable[[], Mapping[str, int]],
    ) -> None:
        """Read at each scrape how many hosts and active runs are in each state."""
        self.registry.register(_Now(hosts, runs))

    def watch_certificates(self, ends: Callable[[], Mapping[str, float]]) -> None:
        """Read at each scrape when the collector's certificate and the authority end."""
        self.registry.register(_Certificates(ends))

    def stored(self, host: str, events: int, seconds: float) -> None:
        """``events`` of ``host`` were committed in ``seconds``."""
        self._events.labels(host).inc(events)
        self._commit.observe(seconds)

    def troubled(self, host: str) -> None:
        """``host`` is tried again."""
        self._retries.labels(host).inc()

    def ended(self, state: RunState) -> None:
        """A run has ended."""
        self._ended.labels(state.value).inc()


class _Now(Collector):
    """What the parts hold at the moment of a scrape."""

    def __init__(
        self,
        hosts: Callable[[], Mapping[str, int]],
        runs: Callable[[], Mapping[str, int]],
    ) -> None:
        self._families = (
            ("tonnage_collector_hosts", "Hosts that registered, by state.", hosts),
            ("tonnage_collector_active_runs", "Runs that have not ended, by state.", runs),
        )

    def collect(self) -> Iterator[Metric]:
        """See ``Collector``."""
        for name, text, read in self._families:
            family = GaugeMetricFamily(name, text, labels=("state",))
            for state, count in sorted(read().items()):
                family.add_metric((state,), count)
            yield family


class _Certificates(Collector):
    """When certificates end."""

    def __init__(self, ends: Callable[[], Mapping[str, float]]) -> None:
        self._ends = ends

    def collect(self) -> Iterator[Metric]:
        """See ``Collector``."""
        family = GaugeMetricFamily(
            "tonnage_collector_certificate_expiry_timestamp_seconds",
            "When the collector's certificate and the authority end, in Unix time.",
            labels=("certificate",),
        )
        for name, at in sorted(self._ends().items()):
            family.add_metric((name,), at)
        yield family


_START = "tonnage_start_statistic_seconds"
_ATTEMPTS = "tonnage_start_attempts"
_LIMIT = "tonnage_density_limit_instances"
_FORECAST = "tonnage_density_forecast_instances"
_FOOTPRINT = "tonnage_footprint_bytes"
_AGE = "tonnage_result_age_seconds"
_FAMILIES: tuple[tuple[str, str, Labels], ...] = (
    (
        _START,
        "Start, request to ready, in the latest run, from raw samples.",
        (*_SUBJECT, "concurrency", "statistic"),
    ),
    (
        _ATTEMPTS,
        "Measured starts of the latest run by outcome.",
        (*_SUBJECT, "concurrency", "outcome"),
    ),
    (_LIMIT, "Largest number of instances that met the SLO in the latest run.", _SUBJECT),
    (_FORECAST, "That limit as foreseen from the first steps of the ramp.", _SUBJECT),
    (
        _FOOTPRINT,
        "Bytes of one more instance in the latest run; disk_base: bytes once.",
        (*_SUBJECT, "estimator"),
    ),
)
_STATISTICS = ("p50", "p95", "p99", "min", "max", "mean")
_OUTCOMES = ("ready", "failed", "timed_out", "cancelled", "interrupted")


class LatestResults(Collector):
    """The latest finished run of each subject; a result replaces its subject's gauges
    of the same experiment only."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._held: OrderedDict[tuple[str, Labels], tuple[float, Values]] = OrderedDict()

    def publish(self, result: Result) -> None:
        """Take in a finished run's result; older ones of the same subjects give way."""
        finished = result.run.finished_at
        at = self._clock() if finished is None else finished.timestamp()
        held = OrderedDict(self._held)
        for experiment, read in (
            ("startup", _startup),
            ("density", _density),
            ("footprint", _footprint),
        ):
            for subject, values in read(result).items():
                key = (experiment, subject)
                if key not in held or held[key][0] <= at:
                    held[key] = (at, values)
                    held.move_to_end(key)
        while len(held) > _MOST_SUBJECTS:
            held.popitem(last=False)
        self._held = held

    def collect(self) -> Iterable[Metric]:
        """See ``Collector``."""
        held = self._held
        families = {
            name: GaugeMetricFamily(name, text, labels=labels) for name, text, labels in _FAMILIES
        }
        for _, values in held.values():
            for (name, labels), value in values.items():
                families[name].add_metric(labels, value)
        age = GaugeMetricFamily(
            _AGE, "Age of the subject's latest result.", labels=(*_SUBJECT, "experiment")
        )
        for (experiment, subject), (at, _) in held.items():
            age.add_metric((*subject, experiment), max(0.0, self._clock() - at))
        return [*families.values(), age]


def _subject(row: Subject) -> Labels:
    return (
        row.host,
        row.runtime,
        row.accelerator,
        row.variant,
        row.mode,
        row.network,
        row.workload,
        str(row.memory_bytes),
    )


def _startup(result: Result) -> dict[Labels, Values]:
    found: dict[Labels, Values] = {}
    for row in result.startup:
        if row.phase != "total":
            continue
        subject = _subject(row)
        values = found.setdefault(subject, {})
        level = (*subject, str(row.concurrency))
        for statistic in _STATISTICS:
            value = getattr(row, f"{statistic}_seconds")
            if value is not None:
                values[_START, (*level, statistic)] = value
        for outcome in _OUTCOMES:
            values[_ATTEMPTS, (*level, outcome)] = getattr(row, outcome)
    return found


def _density(result: Result) -> dict[Labels, Values]:
    found: dict[Labels, Values] = {}
    for row in result.density:
        subject = _subject(row)
        values = found.setdefault(subject, {})
        if row.instances is not None:
            values[_LIMIT, subject] = row.instances
        if row.forecast_instances is not None:
            values[_FORECAST, subject] = row.forecast_instances
    return found


def _footprint(result: Result) -> dict[Labels, Values]:
    found: dict[Labels, Values] = {}
    for row in result.footprint:
        subject = _subject(row)
        values = found.setdefault(subject, {})
        if row.bytes_per_instance is not None:
            values[_FOOTPRINT, (*subject, row.estimator)] = row.bytes_per_instance
    return found
