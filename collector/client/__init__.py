"""The collector as seen by a program: typed calls over gRPC, each with a deadline.

Every method raises only ``collector.errors.TonnageError``: the collector's own
error, rebuilt, or ``Unreachable``.
"""

from collector.client.access import Access
from collector.client.hosts import Hosts
from collector.client.runs import Runs

__all__ = ["Client"]


class Client(Runs, Hosts, Access):
    """A connection to one collector. Use it as an async context manager."""
