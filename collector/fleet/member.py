"""A host in the inventory, and the state that its lease puts it in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from collector.fleet.registration import Registration
from collector.model import KnownHost
from collector.views import HostInfo

STATES = ("healthy", "draining", "suspect", "lost")
"""Every state that a host may be in."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """What tells the time: leases by ``monotonic`` in seconds, so that a step of the wall
    clock loses no host; what people read by ``wall`` in nanoseconds since the epoch."""

    monotonic: Callable[[], float]
    wall: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Lease:
    """How a host stands. ``remaining_seconds`` is negative since its lease ended."""

    host: str
    state: str
    last_seen_unix_ns: int
    remaining_seconds: float


@dataclass(slots=True)
class Member:
    """A host as it registered last.

    ``heard_at`` is when, on the monotonic clock, and ``lease_ends`` on the same; a host
    that is known from before this collector began holds no lease.
    """

    known: KnownHost
    heard_at: float
    lease_ends: float

    def state(self, now: float, lost_after: float) -> str:
        """healthy, draining, suspect or lost, as the contract has them."""
        if now < self.lease_ends:
            return "draining" if self.known.draining else "healthy"
        return "lost" if now - self.heard_at >= lost_after else "suspect"

    def lease(self, host: str, now: float, lost_after: float) -> Lease:
        """How it stands."""
        seen, left = self.known.last_seen_unix_ns, self.lease_ends - now
        return Lease(host, self.state(now, lost_after), seen, left)

    def info(self, state: str) -> HostInfo:
        """What is told of it."""
        known = self.known
        return HostInfo(
            facts=known.facts,
            runtimes=known.runtimes,
            address=known.address,
            metrics_address=known.metrics_address,
            state=state,
            last_seen_unix_ns=known.last_seen_unix_ns,
            draining=known.draining,
            protocol=known.protocol,
            metrics_tls=known.metrics_tls,
        )


def known_as(told: Registration, earlier: KnownHost | None, now_unix_ns: int) -> KnownHost:
    """What is kept of a registration, after what was known of the host."""
    return KnownHost(
        facts=told.facts,
        runtimes=told.runtimes,
        address=told.address,
        metrics_address=told.metrics_address,
        metrics_tls=told.metrics_tls,
        protocol=told.protocol,
        first_seen_unix_ns=earlier.first_seen_unix_ns if earlier else now_unix_ns,
        last_seen_unix_ns=now_unix_ns,
        draining=earlier is not None and earlier.draining,
    )


def same_but_for_time(one: KnownHost, other: KnownHost) -> bool:
    """Whether two differ at most in when the host was seen."""
    return one == replace(other, last_seen_unix_ns=one.last_seen_unix_ns)
