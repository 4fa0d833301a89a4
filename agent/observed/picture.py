"""What the latest rounds found, as metrics; read at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from agent.instruments import START_BUCKETS
from agent.observed.scales import Weight
from agent.observed.seen import Seen


@dataclass(frozen=True, slots=True)
class Found:
    """One round of one runtime. ``at_unix_seconds``: when it ended."""

    states: Mapping[str, int]
    weight: Weight
    at_unix_seconds: float


def counted(seen: Iterable[Seen], states: Sequence[str]) -> dict[str, int]:
    """How many there are in each state, the empty ones of those expected included."""
    return {**dict.fromkeys(states, 0), **Counter(one.state for one in seen)}


class Picture:
    """The observed_* metrics. A runtime that could not be looked at has no series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._found: dict[str, Found] = {}
        self._starts = Histogram(
            "tonnage_observed_start_seconds",
            "Starts of others' containers, from the engine's create event to its start event.",
            ("runtime",),
            buckets=START_BUCKETS,
            registry=registry,
        )
        registry.register(self)

    def show(self, runtime: str, found: Found | None) -> None:
        """What a round found; ``None``: it failed."""
        rest = {name: one for name, one in self._found.items() if name != runtime}
        self._found = rest if found is None else {**rest, runtime: found}

    def started(self, runtime: str, seconds: float) -> None:
        """Count a start."""
        self._starts.labels(runtime).observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """The families, in a fixed order."""
        found = sorted(self._found.items())
        states = GaugeMetricFamily(
            "tonnage_observed_instances",
            "What runs on the host beside the agent's own instances.",
            labels=("runtime", "state"),
        )
        memory = GaugeMetricFamily(
            "tonnage_observed_memory_bytes",
            "Memory of all that runs beside the agent's own instances, by estimator.",
            labels=("runtime", "estimator"),
        )
        unread = GaugeMetricFamily(
            "tonnage_observed_unread_instances",
            "Running instances whose memory was not read yet; while there are, no sum is shown.",
            labels=("runtime",),
        )
        rounds = GaugeMetricFamily(
            "tonnage_observed_round_timestamp_seconds",
            "When the host was last looked at, in Unix time; not while a run is at work.",
            labels=("runtime",),
        )
        for runtime, one in found:
            for state, count in one.states.items():
                states.add_metric((runtime, state), count)
            for estimator, size_bytes in one.weight.bytes_by_estimator.items():
                memory.add_metric((runtime, estimator), size_bytes)
            unread.add_metric((runtime,), one.weight.unread)
            rounds.add_metric((runtime,), one.at_unix_seconds)
        yield from (states, memory, unread, rounds)
