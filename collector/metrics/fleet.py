"""Hosts and runs as they stand at the moment of a scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.fleet import STATES, Lease

MOST_HOSTS = 5000
"""Hosts that have series of their own; those beyond, by name, are counted alone."""


class Leases(Collector):
    """Reads the fleet and the conductor; both answer in any thread."""

    def __init__(
        self, leases: Callable[[], Sequence[Lease]], runs: Callable[[], Mapping[str, int]]
    ) -> None:
        self._leases = leases
        self._runs = runs

    def collect(self) -> Iterator[Metric]:
        """See ``Collector``. All of the fleet is of one moment."""
        leases = self._leases()
        yield _hosts(leases)
        runs = GaugeMetricFamily(
            "tonnage_collector_active_runs",
            "Runs that have not ended, by state.",
            labels=("state",),
        )
        for state, count in sorted(self._runs().items()):
            runs.add_metric((state,), count)
        yield runs
        shown = leases[:MOST_HOSTS]
        yield _states(shown)
        yield _by_host(
            "tonnage_collector_host_last_seen_timestamp_seconds",
            "When a host registered last, in Unix time.",
            ((lease.host, lease.last_seen_unix_ns / 1e9) for lease in shown),
        )
        yield _by_host(
            "tonnage_collector_host_lease_remaining_seconds",
            "Time until a host's lease ends unless it registers again; below zero since it ended.",
            ((lease.host, lease.remaining_seconds) for lease in shown),
        )


def _hosts(leases: Sequence[Lease]) -> Metric:
    family = GaugeMetricFamily(
        "tonnage_collector_hosts", "Hosts that registered, by state.", labels=("state",)
    )
    counted = Counter(lease.state for lease in leases)
    for state in STATES:
        family.add_metric((state,), counted[state])
    return family


def _states(leases: Sequence[Lease]) -> Metric:
    family = GaugeMetricFamily(
        "tonnage_collector_host_state",
        "1 for the state that a host is in, 0 for the others.",
        labels=("host", "state"),
    )
    for lease in leases:
        for state in STATES:
            family.add_metric((lease.host, state), float(lease.state == state))
    return family


def _by_host(name: str, text: str, values: Iterator[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("host",))
    for host, value in values:
        family.add_metric((host,), value)
    return family
