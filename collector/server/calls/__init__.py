"""CollectorService over gRPC, a module for each subject: each unpacks requests, asks the
parts, and packs answers. Every method raises ``TonnageError``; ``ErrorBorder`` makes
statuses of them."""

from __future__ import annotations

from collector.server.calls.access import AccessCalls
from collector.server.calls.hosts import HostCalls
from collector.server.calls.instances import InstanceCalls
from collector.server.calls.parts import Parts
from collector.server.calls.runs import RunCalls

__all__ = ["CollectorServicer", "Parts"]


class CollectorServicer(RunCalls, HostCalls, InstanceCalls, AccessCalls):
    """All of CollectorService."""
