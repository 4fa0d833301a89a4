"""Every dashboard there is."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector.dashboards import density, footprint, host, overview, run, startup


def every_dashboard() -> list[Dashboard]:
    """In the order in which they are read."""
    return [each.dashboard() for each in (overview, startup, density, footprint, host, run)]
