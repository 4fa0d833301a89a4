"""What the collector counts of its own work, and the registry that all of it is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from collector.fleet import Lease
from collector.metrics.certificates import Certificates, Ends
from collector.metrics.fleet import MOST_HOSTS, Leases
from collector.metrics.results import LatestResults
from collector.metrics.store import Kept, StoreFigures
from tonnage.model import RunState

_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
# No host can be called so.
_FURTHER_HOSTS = "(further)"


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
        self._of_hosts = _OfHosts(registry)
        self._commit = Histogram(
            "tonnage_collector_commit_seconds",
            "Time to store a batch of events, commit included.",
            buckets=_COMMIT_BUCKETS,
            registry=registry,
        )
        self._ended = Counter(
            "tonnage_collector_runs_ended_total", "Runs ended.", ("state",), registry=registry
        )
        self._failures = Counter(
            "tonnage_collector_store_failures_total",
            "Operations that the store failed at; each was retried, or refused.",
            registry=registry,
        )
        self._commands = Counter(
            "tonnage_collector_commands_total",
            "Calls to the collector that ended, by method and outcome.",
            ("command", "outcome"),
            registry=registry,
        )
        for state in RunState:
            if state.ended:
                self._ended.labels(state.value)

    def watch(
        self, leases: Callable[[], Sequence[Lease]], runs: Callable[[], Mapping[str, int]]
    ) -> None:
        """Read at each scrape how the hosts stand, and how many active runs there are."""
        self.registry.register(Leases(leases, runs))

    def watch_store(self, kept: Callable[[], Kept]) -> None:
        """Show at each scrape what is known of the store."""
        self.registry.register(StoreFigures(kept))

    def watch_certificates(self, own: Ends, hosts: Ends) -> None:
        """Read at each scrape when the collector's certificate, the authority, and the
        hosts' certificates end."""
        self.registry.register(Certificates(own, hosts))

    def stored(self, host: str, events: int, seconds: float) -> None:
        """``events`` of ``host`` were committed in ``seconds``."""
        self._of_hosts.events(host, events)
        self._commit.observe(seconds)

    def troubled(self, host: str) -> None:
        """``host`` is tried again."""
        self._of_hosts.retry(host)

    def ended(self, state: RunState) -> None:
        """A run has ended."""
        self._ended.labels(state.value).inc()

    def store_failed(self) -> None:
        """The store failed at an operation."""
        self._failures.inc()

    def commanded(self, command: str, outcome: str) -> None:
        """A call of the contract has ended; both names are the contract's own."""
        self._commands.labels(command, outcome).inc()


class _OfHosts:
    """Counters by host: of so many hosts, and of all further ones together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._known: set[str] = set()
        self._events = Counter(
            "tonnage_collector_events_total", "Events stored.", ("host",), registry=registry
        )
        self._retries = Counter(
            "tonnage_collector_retries_total",
            "Times a host was tried again after a failure.",
            ("host",),
            registry=registry,
        )

    def events(self, host: str, count: int) -> None:
        self._events.labels(self._label(host)).inc(count)

    def retry(self, host: str) -> None:
        self._retries.labels(self._label(host)).inc()

    def _label(self, host: str) -> str:
        if host not in self._known:
            if len(self._known) >= MOST_HOSTS:
                return _FURTHER_HOSTS
            self._known.add(host)
        return host
