"""The hosts: who registered, whose lease still runs, and how each is dialled.

Kept in memory alone: agents register again within one lease of a restart, and
a run's rows hold the addresses of its own hosts.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collector.agents import Agent
from collector.errors import InvalidInput, NoSuchHost
from collector.views import HostInfo
from tonnage.model import Fingerprint, HostFacts

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ADDRESS = re.compile(r"unix:.+|(?:\[[0-9A-Fa-f:]+\]|[^\s:/]+):[0-9]{1,5}")
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Member:
    facts: HostFacts
    runtimes: tuple[Fingerprint, ...]
    address: str
    metrics_address: str
    last_seen_unix_ns: int
    lease_ends: float


class Fleet:
    """The inventory, and one connection to each agent."""

    def __init__(
        self, lease_seconds: float = 15.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lease_seconds = lease_seconds
        self._clock = clock
        self._members: dict[str, _Member] = {}
        self._agents: dict[tuple[str, str], Agent] = {}

    def register(
        self,
        facts: HostFacts,
        runtimes: Sequence[Fingerprint],
        address: str,
        metrics_address: str = "",
    ) -> float:
        """Take in a host or renew its lease; returns the lease in seconds.

        Raises ``InvalidInput`` for a malformed name or address, and when another
        agent holds the name under a running lease.
        """
        self._check(facts, address)
        self._members[facts.host] = _Member(
            facts=facts,
            runtimes=tuple(runtimes),
            address=address,
            metrics_address=metrics_address,
            last_seen_unix_ns=time.time_ns(),
            lease_ends=self._clock() + self.lease_seconds,
        )
        return self.lease_seconds

    def hosts(self) -> tuple[HostInfo, ...]:
        """Every host, by name."""
        return tuple(self._info(member) for _, member in sorted(self._members.items()))

    def healthy(self) -> tuple[HostInfo, ...]:
        """The hosts whose lease still runs, by name."""
        return tuple(host for host in self.hosts() if host.healthy)

    def get(self, name: str) -> HostInfo:
        """The host called ``name``; raises ``NoSuchHost`` naming those there are."""
        if name in self._members:
            return self._info(self._members[name])
        known = ", ".join(sorted(self._members)[:_SHOWN]) or "none"
        raise NoSuchHost(
            "no host of this name has registered",
            field="host",
            value=name,
            remedy=f"Registered hosts: {known}.",
        )

    def agent(self, host: str, address: str) -> Agent:
        """The connection to ``host``'s agent at ``address``; made on first use."""
        if (host, address) not in self._agents:
            self._agents[host, address] = Agent(host, address)
        return self._agents[host, address]

    async def close(self) -> None:
        """Let go of every connection. Idempotent."""
        agents, self._agents = self._agents, {}
        await asyncio.gather(*(agent.close() for agent in agents.values()))

    def _info(self, member: _Member) -> HostInfo:
        healthy = self._clock() < member.lease_ends
        return HostInfo(
            facts=member.facts,
            runtimes=member.runtimes,
            address=member.address,
            metrics_address=member.metrics_address,
            state="healthy" if healthy else "lost",
            last_seen_unix_ns=member.last_seen_unix_ns,
        )

    def _check(self, facts: HostFacts, address: str) -> None:
        if not _NAME.fullmatch(facts.host):
            raise InvalidInput(
                "a host's name has letters, digits, dots, dashes and underscores, at most 63",
                field="facts.host",
                value=facts.host[:80],
                remedy="Give the agent another --name.",
            )
        if not _ADDRESS.fullmatch(address) or len(address) > 253:
            raise InvalidInput(
                "an agent's address is host:port or unix:path",
                field="address",
                value=address[:80],
            )
        self._check_name_is_free(facts, address)

    def _check_name_is_free(self, facts: HostFacts, address: str) -> None:
        other = self._members.get(facts.host)
        if other is None or other.facts.agent_id == facts.agent_id or other.address == address:
            return
        if self._clock() < other.lease_ends:
            raise InvalidInput(
                f"another agent holds this name, at {other.address}",
                field="facts.host",
                value=facts.host,
                remedy=f"Give one of them another --name, or wait {self.lease_seconds:g} s.",
            )
