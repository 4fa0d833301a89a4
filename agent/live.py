"""What the agent's metrics read at each scrape: what it holds, its outbox, its host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric

STATES = ("starting", "ready", "stopping", "orphaned")


@dataclass(frozen=True, slots=True)
class HostFigures:
    """The host's size and what is left of it; ``None`` where it cannot be read.

    ``memory_available_bytes`` is what the guards and the estimator go by;
    ``disk_free_bytes`` is that of the disk with the agent's own data.
    """

    cpus: int
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    disk_free_bytes: int | None


@dataclass(frozen=True, slots=True)
class Outbox:
    """The spool: its size and its cap, events not on disk yet, and events that the
    collector has not said it stored."""

    size_bytes: int
    limit_bytes: int
    pending_events: int
    unacknowledged_events: int
    full: bool


@dataclass(frozen=True, slots=True)
class Live:
    """What is read at each scrape; every function is cheap and safe in any thread.

    ``instances``: (runtime, state) of each instance held. ``pressure``: PSI "some"
    over 10 s by resource, in percent. ``healthy``: by runtime.
    """

    instances: Callable[[], Iterable[tuple[str, str]]]
    instances_limit: int
    pressure: Callable[[], Mapping[str, float]]
    healthy: Callable[[], Mapping[str, bool]]
    host: Callable[[], HostFigures]
    outbox: Callable[[], Outbox]
    run_active: Callable[[], bool]


class LiveCollector:
    """Reads the agent at each scrape."""

    def __init__(self, live: Live, runtimes: Iterable[str]) -> None:
        self._live = live
        self._runtimes = tuple(runtimes)

    def collect(self) -> Iterable[Metric]:
        """The families, in a fixed order."""
        yield self._instances()
        yield _single(
            "tonnage_agent_instances_limit",
            "Instances that the agent ever holds at once, guard_max_instances.",
            self._live.instances_limit,
        )
        yield self._healthy()
        yield self._pressure()
        yield from _host(self._live.host())
        yield from _outbox(self._live.outbox())
        yield _single(
            "tonnage_agent_run_active",
            "Whether a run is being worked on.",
            self._live.run_active(),
        )

    def _instances(self) -> Metric:
        family = GaugeMetricFamily(
            "tonnage_instances", "Instances held by the agent.", labels=("runtime", "state")
        )
        counts = {(runtime, state): 0 for runtime in self._runtimes for state in STATES}
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


def _host(host: HostFigures) -> Iterable[Metric]:
    """What cannot be read has no series: a zero would be a lie."""
    for name, text, value in (
        ("tonnage_host_cpus", "CPUs that the agent may use.", host.cpus),
        ("tonnage_host_memory_total_bytes", "The host's memory.", host.memory_total_bytes),
        (
            "tonnage_host_memory_available_bytes",
            "The host's memory that new programs can get, as the guards count it.",
            host.memory_available_bytes,
        ),
        (
            "tonnage_host_disk_free_bytes",
            "Free space on the disk with the agent's data.",
            host.disk_free_bytes,
        ),
    ):
        if value is not None:
            yield _single(name, text, value)


def _outbox(outbox: Outbox) -> Iterable[Metric]:
    yield _single("tonnage_spool_bytes", "Size of the outbox on disk.", outbox.size_bytes)
    yield _single(
        "tonnage_spool_limit_bytes",
        "Size of the outbox above which launching pauses.",
        outbox.limit_bytes,
    )
    yield _single(
        "tonnage_agent_spool_pending_events",
        "Events recorded that are not on disk yet.",
        outbox.pending_events,
    )
    yield _single(
        "tonnage_agent_spool_unacknowledged_events",
        "Events recorded that the collector has not acknowledged.",
        outbox.unacknowledged_events,
    )
    yield _single(
        "tonnage_agent_spool_full",
        "Whether launching pauses because outbox or disk have no room.",
        outbox.full,
    )


def _single(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))
