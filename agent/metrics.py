"""The agent's metrics: what they are told, and what they read at each scrape.

``tonnage_`` is what was measured, ``tonnage_agent_`` the agent itself. Labels
are bounded: never a run, a trial, an instance or an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric

from agent.instruments import Measured, Probed, Tally
from agent.live import Live, LiveCollector
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

_ESTIMATORS = {
    "pss": "pss_bytes",
    "cgroup": "cgroup_bytes",
    "vmm_overhead": "vmm_overhead_bytes",
}


class Metrics:
    """The agent's metrics in a registry of their own."""

    def __init__(self, version: str, runtimes: Iterable[str]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap
        self.registry = registry = CollectorRegistry()
        self._runtimes = tuple(runtimes)
        self._measured = Measured(registry)
        self._probed = Probed(registry)
        self._tally = Tally(registry)
        self._contact = _ContactCollector()
        registry.register(self._contact)
        info = Gauge("tonnage_agent_info", "The agent's version.", ("version",), registry=registry)
        info.labels(version).set(1)
        ProcessCollector(namespace="tonnage_agent", registry=registry)

    def watch(self, live: Live) -> None:
        """Show what the agent holds, read at each scrape."""
        self.registry.register(LiveCollector(live, self._runtimes))

    def watch_certificates(self, ends: Callable[[], Mapping[str, float]]) -> None:
        """Show when the agent's certificate and the authority end, read at each scrape."""
        self.registry.register(_CertificateCollector(ends))

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

    def registered(self, at_unix_seconds: float | None) -> None:
        """Note that the collector took this agent's registration, when; ``None``: it did not."""
        self._tally.registered.set(at_unix_seconds is not None)
        if at_unix_seconds is not None:
            self._contact.latest_unix_seconds = at_unix_seconds


def phases(trial: Trial) -> dict[str, float]:
    """The phases of a start in seconds, as docs/measuring.md defines them; those whose
    ends were not both seen are left out."""
    machine = trial.kernel_ns is not None
    begins = (trial.restored_ns, trial.unit_ns, trial.init_ns if machine else trial.created_ns)
    ends = {
        "accept": (0, trial.accepted_ns),
        "create": (trial.accepted_ns, trial.created_ns),
        "machine": (trial.created_ns, trial.kernel_ns),
        "kernel": (trial.kernel_ns, trial.init_ns),
        "init": (trial.init_ns, trial.unit_ns),
        "restore": (trial.created_ns, trial.restored_ns),
        "userspace": (next((at for at in begins if at is not None), None), trial.ready_ns),
    }
    return {
        name: (end - begin) / 1e9
        for name, (begin, end) in ends.items()
        if begin is not None and end is not None
    }


class _CertificateCollector:
    """When certificates end."""

    def __init__(self, ends: Callable[[], Mapping[str, float]]) -> None:
        self._ends = ends

    def collect(self) -> Iterable[Metric]:
        """One family."""
        family = GaugeMetricFamily(
            "tonnage_agent_certificate_expiry_timestamp_seconds",
            "When the agent's certificate and the authority end, in Unix time.",
            labels=("certificate",),
        )
        for name, at in sorted(self._ends().items()):
            family.add_metric((name,), at)
        yield family


class _ContactCollector:
    """When the collector last took a registration; nothing before the first one."""

    latest_unix_seconds: float | None = None

    def collect(self) -> Iterable[Metric]:
        """One family."""
        family = GaugeMetricFamily(
            "tonnage_agent_collector_contact_timestamp_seconds",
            "When the collector last took this agent's registration, in Unix time.",
        )
        if self.latest_unix_seconds is not None:
            family.add_metric((), self.latest_unix_seconds)
        yield family
