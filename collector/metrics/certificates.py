"""When certificates end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Ends = Callable[[], Mapping[str, float]]
"""In Unix seconds, by certificate or by host."""


class Certificates(Collector):
    """The collector's own and the authority, by name; and the agents', by host."""

    def __init__(self, own: Ends, hosts: Ends) -> None:
        self._families = (
            (
                "tonnage_collector_certificate_expiry_timestamp_seconds",
                "When the collector's certificate and the authority end, in Unix time.",
                "certificate",
                own,
            ),
            (
                "tonnage_collector_host_certificate_expiry_timestamp_seconds",
                "When the latest certificate issued to a host ends, in Unix time.",
                "host",
                hosts,
            ),
        )

    def collect(self) -> Iterator[Metric]:
        """See ``Collector``."""
        for name, text, label, read in self._families:
            family = GaugeMetricFamily(name, text, labels=(label,))
            for key, at in sorted(read().items()):
                family.add_metric((key,), at)
            yield family
