"""The collector as seen by a program: typed calls over gRPC, each with a deadline.

Every method raises only ``collector.errors.TonnageError``: the collector's own
error, rebuilt, or ``Unreachable``.
"""

from collector.client.hosts import Hosts
from collector.client.runs import Runs

__all__ = ["Client"]


class Client(Runs, Hosts):
    """A connection to one collector. Use it as an async context manager."""
