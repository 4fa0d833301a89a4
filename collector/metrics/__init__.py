"""Every metric of the collector, by name.

``tonnage_collector_`` is the collector itself: ``own`` what it counts, ``fleet``,
``certificates`` and ``store`` what is asked for at each scrape. ``tonnage_`` without it is
what was measured: ``results``. Labels are bounded: hosts and subjects up to a
cap, methods, states; never a run, a trial or an instance.
"""

from collector.metrics.fleet import MOST_HOSTS
from collector.metrics.own import Metrics
from collector.metrics.results import LatestResults
from collector.metrics.store import Kept

__all__ = ["MOST_HOSTS", "Kept", "LatestResults", "Metrics"]
