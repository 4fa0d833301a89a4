"""What is known of the store: read now and then elsewhere, shown at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Kept:
    """``results_missing`` counts runs that ended and whose result is not kept; ``None``
    is not known."""

    store_bytes: int | None = None
    results_missing: int | None = None


class StoreFigures(Collector):
    """What is not known has no series."""

    def __init__(self, kept: Callable[[], Kept]) -> None:
        self._kept = kept

    def collect(self) -> Iterator[Metric]:
        """See ``Collector``."""
        kept = self._kept()
        for name, text, value in (
            (
                "tonnage_collector_store_bytes",
                "What the store takes on disk, read once a minute.",
                kept.store_bytes,
            ),
            (
                "tonnage_collector_results_missing",
                "Runs that ended and whose result is not kept, read once a minute.",
                kept.results_missing,
            ),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)
