"""The agent's metrics by what they tell: their names, words, labels and buckets."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tonnage.model import StopReason

# From 1 ms, near a bare fork, to two minutes, a complete guest OS under TCG; each
# bound about 1.6 times the one before. Quantiles from buckets are estimates.
START_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.016, 0.025, 0.04, 0.063, 0.1, 0.16, 0.25, 0.4, 0.63,
    1.0, 1.6, 2.5, 4.0, 6.3, 10.0, 16.0, 25.0, 40.0, 63.0, 120.0,
)  # fmt: skip


class Measured:
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
            "tonnage_agent_ramp_limit_instances",
            "Largest number of instances that met the SLO in this agent's latest ramp.",
            ("runtime", "accelerator"),
            registry=registry,
        )
        self.forecast = Gauge(
            "tonnage_agent_ramp_forecast_instances",
            "Limit foreseen in this agent's latest ramp.",
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


class Probed:
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


class Tally:
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
