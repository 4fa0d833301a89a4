"""Every metric of the agent, by name, in one place.

``tonnage_`` is what was measured, ``tonnage_agent_`` the agent itself. Labels
are bounded: never a run, a trial, an instance or an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric

from tonnage.model import (
    Accelerator,
    DensityResult,
    Forecast,
    Outcome,
    Sample,
    StopReason,
    Target,
    Trial,
)

# From 1 ms, near a bare fork, to two minutes, a complete guest OS under TCG; each
# bound about 1.6 times the one before. Quantiles from buckets are estimates.
START_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.016, 0.025, 0.04, 0.063, 0.1, 0.16, 0.25, 0.4, 0.63,
    1.0, 1.6, 2.5, 4.0, 6.3, 10.0, 16.0, 25.0, 40.0, 63.0, 120.0,
)  # fmt: skip

_ESTIMATORS = {
    "pss": "pss_bytes",
    "cgroup": "cgroup_bytes",
    "vmm_overhead": "vmm_overhead_bytes",
}


@dataclass(frozen=True, slots=True)
class Live:
    """What is read at each scrape; every function is cheap and safe in any thread.

    ``instances``: (runtime, state) of each instance held. ``pressure``: PSI "some"
    over 10 s by resource, in percent. ``healthy``: by runtime.
    """

    instances: Callable[[], Iterable[tuple[str, str]]]
    pressure: Callable[[], Mapping[str, float]]
    healthy: Callable[[], Mapping[str, bool]]
    spool_bytes: Callable[[], int]
    spool_pending: Callable[[], int]
    spool_full: Callable[[], bool]
    run_active: Callable[[], bool]


class _Measured:
    """What trials, ramps and series found."""

    def __init__(self, registry: CollectorRegistry) -> None:
        subject = ("runtime", "accelerator", "mode")
        self.start = Histogram(
            "tonnage_start_seconds",
            "Duration of starts, request to ready or to the end of the attempt.",
            (*subject, "outcome"),
            buckets=START_BUCKETS,
            registry=registry,
        )
        self.phase = Histogram(
            "tonnage_phase_seconds",
            "Duration of the phases of starts that became ready.",
            (*subject, "phase"),
            buckets=START_BUCKETS,
            registry=registry,
        )
        self.memory = Gauge(
            "tonnage_instance_memory_bytes",
            "Memory of an instance at the latest measurement, by estimator.",
            ("runtime", "accelerator", "estimator"),
            registry=registry,
        )
        self.limit = Gauge(
            "tonnage_density_limit_instances",
            "Largest number of instances that met the SLO in the latest ramp.",
            ("runtime", "accelerator"),
            registry=registry,
        )
        self.forecast = Gauge(
            "tonnage_density_forecast_instances",
            "Limit foreseen in the latest ramp.",
            ("runtime", "accelerator"),
            registry=registry,
        )
        self.stops = Counter(
            "tonnage_density_stop_total",
            "Ends of ramps, by reason.",
            ("reason",),
            registry=registry,
        )
        for reason in StopReason:
            self.stops.labels(reason.value)


class _Probed:
    """How the probes fare."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "tonnage_probe_seconds",
            "Duration of a probe's reading.",
            ("probe",),
            buckets=(0.0001, 0.001, 0.01, 0.1, 1.0, 10.0),
            registry=registry,
        )
        self.success = Gauge(
            "tonnage_probe_success",
            "Whether a probe's latest reading gave data.",
            ("probe",),
            registry=registry,
        )


class _Tally:
    """What became of runs and instances, and of the agent's registration."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Counter(
            "tonnage_agent_runs_total", "Runs that ended, by state.", ("state",), registry=registry
        )
        self.trips = Counter(
            "tonnage_agent_guard_trips_total",
            "Times a guard stopped launching, by reason.",
            ("reason",),
            registry=registry,
        )
        self.leaks = Counter(
            "tonnage_agent_leaked_instances_total",
            "Instances that survived their removal.",
            registry=registry,
        )
        self.registered = Gauge(
            "tonnage_agent_registered",
            "Whether the collector took this agent's latest registration.",
            registry=registry,
        )


class Metrics:
    """The agent's metrics in a registry of their own."""

    def __init__(self, version: str, runtimes: Iterable[str]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap
        self.registry = registry = CollectorRegistry()
        self._runtimes = tuple(runtimes)
        self._measured = _Measured(registry)
        self._probed = _Probed(registry)
        self._tally = _Tally(registry)
        info = Gauge("tonnage_agent_info", "The agent's version.", ("version",), registry=registry)
        info.labels(version).set(1)
        ProcessCollector(namespace="tonnage_agent", registry=registry)

    def watch(self, live: Live) -> None:
        """Show what the agent holds, read at each scrape."""
        self.registry.register(_LiveCollector(live, self._runtimes))

    def trial(self, target: Target, trial: Trial, elapsed_seconds: float) -> None:
        """Count a trial; ``elapsed_seconds`` stands for one that never became ready."""
        subject = (target.runtime, trial.accelerator.value, target.mode.value)
        total = elapsed_seconds if trial.ready_ns is None else trial.ready_ns / 1e9
        self._measured.start.labels(*subject, trial.outcome.value).observe(total)
        if trial.outcome is Outcome.READY:
            for phase, seconds in phases(trial).items():
                self._measured.phase.labels(*subject, phase).observe(seconds)

    def sample(self, target: Target, accelerator: Accelerator, sample: Sample) -> None:
        """Show what an instance costs, from a measurement of several."""
        if sample.instances == 0:
            return
        for estimator, field in _ESTIMATORS.items():
            value = getattr(sample, field)
            if value is not None:
                gauge = self._measured.memory.labels(target.runtime, accelerator.value, estimator)
                gauge.set(value / sample.instances)

    def density(self, target: Target, accelerator: Accelerator, result: DensityResult) -> None:
        """Show the end of a ramp."""
        self._measured.limit.labels(target.runtime, accelerator.value).set(result.limit_instances)
        self._measured.stops.labels(result.stop_reason.value).inc()

    def forecast(self, target: Target, accelerator: Accelerator, forecast: Forecast) -> None:
        """Show a forecast."""
        self._measured.forecast.labels(target.runtime, accelerator.value).set(
            forecast.limit_instances
        )

    def probe(self, name: str, seconds: float, success: bool) -> None:
        """Note a probe's reading."""
        self._probed.seconds.labels(name).observe(seconds)
        self._probed.success.labels(name).set(success)

    def run_ended(self, state: str) -> None:
        """Count a run."""
        self._tally.runs.labels(state).inc()

    def guard_tripped(self, reason: StopReason) -> None:
        """Count a trip."""
        self._tally.trips.labels(reason.value).inc()

    def leaked(self, count: int) -> None:
        """Count instances that survived."""
        self._tally.leaks.inc(count)

    def registered(self, yes: bool) -> None:
        """Note whether the collector knows this agent."""
        self._tally.registered.set(yes)


def phases(trial: Trial) -> dict[str, float]:
    """The phases of a start in seconds, as docs/measuring.md defines them; those whose
    ends were not both seen are left out."""
    machine = trial.kernel_ns is not None
    ends = {
        "accept": (0, trial.accepted_ns),
        "create": (trial.accepted_ns, trial.created_ns),
        "machine": (trial.created_ns, trial.kernel_ns),
        "kernel": (trial.kernel_ns, trial.init_ns),
        "userspace": (trial.init_ns if machine else trial.created_ns, trial.ready_ns),
    }
    return {
        name: (end - begin) / 1e9
        for name, (begin, end) in ends.items()
        if begin is not None and end is not None
    }


class _LiveCollector:
    """Reads the agent at each scrape."""

    def __init__(self, live: Live, runtimes: tuple[str, ...]) -> None:
        self._live = live
        self._runtimes = runtimes

    def collect(self) -> Iterable[Metric]:
        """The families, in a fixed order."""
        yield self._instances()
        yield self._healthy()
        yield self._pressure()
        for name, text, value in (
            ("tonnage_spool_bytes", "Size of the outbox on disk.", self._live.spool_bytes()),
            (
                "tonnage_agent_spool_pending_events",
                "Events recorded that are not on disk yet.",
                self._live.spool_pending(),
            ),
            (
                "tonnage_agent_spool_full",
                "Whether launching pauses because outbox or disk have no room.",
                self._live.spool_full(),
            ),
            (
                "tonnage_agent_run_active",
                "Whether a run is being worked on.",
                self._live.run_active(),
            ),
        ):
            yield GaugeMetricFamily(name, text, value=float(value))

    def _instances(self) -> Metric:
        family = GaugeMetricFamily(
            "tonnage_instances", "Instances held by the agent.", labels=("runtime", "state")
        )
        counts = {
            (runtime, state): 0
            for runtime in self._runtimes
            for state in ("starting", "ready", "stopping", "orphaned")
        }
        for key in self._live.instances():
            counts[key] = counts.get(key, 0) + 1
        for (runtime, state), count in counts.items():
            family.add_metric((runtime, state), count)
        return family

    def _healthy(self) -> Metric:
        family = GaugeMetricFamily(
            "tonnage_runtime_healthy", "Whether a runtime can launch.", labels=("runtime",)
        )
        for runtime, healthy in self._live.healthy().items():
            family.add_metric((runtime,), healthy)
        return family

    def _pressure(self) -> Metric:
        family = GaugeMetricFamily(
            "tonnage_host_pressure_ratio",
            "Share of the last 10 s in which some task waited for a resource.",
            labels=("resource",),
        )
        for resource, percent in self._live.pressure().items():
            family.add_metric((resource,), percent / 100)
        return family
