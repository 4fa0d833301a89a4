"""What the calls are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from grpc import aio

from collector.conductor.conductor import Conductor
from collector.fleet import Fleet
from collector.server.audit import AuditLog
from collector.server.enrolment import Enrolment
from collector.server.outcomes import Outcomes
from collector.server.retention import Retention
from collector.server.revoking import Revoking
from collector.server.submission import Submission
from collector.stores.base import Store
from tonnage.v1 import collector_pb2_grpc

Context = aio.ServicerContext[Any, Any]


class Access(Protocol):
    """What agents must know of who may do what."""

    def revoked_serials(self) -> Sequence[str]:
        """Serial numbers, in hexadecimal, of certificates that no longer hold."""

    async def catch_up(self) -> None:
        """Take in the certificates that were made by hand until now."""

    def scrape_token_hashes(self) -> Sequence[str]:
        """SHA-256, in hexadecimal, of each token that may scrape metrics."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The collector's parts that calls are answered from."""

    store: Store
    fleet: Fleet
    conductor: Conductor
    submission: Submission
    outcomes: Outcomes
    retention: Retention
    access: Access
    enrolment: Enrolment
    revoking: Revoking
    audit: AuditLog


class Calls(collector_pb2_grpc.CollectorServiceServicer):
    """Holds the parts."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
