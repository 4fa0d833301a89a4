"""The inventory, its leases, and one connection to each agent.

Answers come from memory; the store makes it outlive a restart, after which every
host is suspect until its agent, within a lease, registers again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from collector.agents import Agent
from collector.errors import InvalidInput, NoSuchHost, WrongState
from collector.fleet.keeper import Keeper
from collector.fleet.member import Clocks, Lease, Member, known_as, same_but_for_time
from collector.fleet.registration import Registration, check
from collector.model import KnownHost
from collector.views import HostInfo

_SHOWN = 10
_CLOCKS = Clocks(time.monotonic, time.time_ns)


class Fleet:
    """The hosts that registered; safe to read from other threads.

    ``lost_after`` is how long a host may be silent, in seconds, before it is lost.
    Without a ``keeper`` nothing outlives this object.
    """

    def __init__(
        self,
        lease_seconds: float = 15.0,
        lost_after: float = 300.0,
        *,
        clocks: Clocks = _CLOCKS,
        keeper: Keeper | None = None,
        dial: Callable[[str, str], Agent] = Agent,
    ) -> None:
        self.lease_seconds = lease_seconds
        self._lost_after = max(lost_after, lease_seconds)
        self._clocks = clocks
        self._keeper = keeper
        self._dial = dial
        self._members: dict[str, Member] = {}
        self._agents: dict[tuple[str, str], Agent] = {}
        self._barred: set[str] = set()
        self._change = asyncio.Event()

    async def restore(self) -> None:
        """Take in what an earlier collector knew. Raises ``StoreError``."""
        if self._keeper is None:
            return
        now = self._clocks.monotonic()
        for known in await self._keeper.store.known_hosts():
            self._members.setdefault(known.facts.host, Member(known, now, now))

    def register(self, told: Registration) -> float:
        """Take in a host or renew its lease; returns the lease in seconds.

        Raises ``WrongState`` for another protocol, ``InvalidInput`` for a malformed
        name or address, and when another agent holds the name under a running lease.
        """
        check(told)
        name = told.facts.host
        earlier = self._members.get(name)
        self._check_name_is_free(told, earlier)
        now = self._clocks.wall()
        known = known_as(told, earlier.known if earlier else None, now)
        if earlier is not None and same_but_for_time(earlier.known, known):
            self.renew(name)
            return self.lease_seconds
        self._let_in(name)
        heard = self._clocks.monotonic()
        self._members[name] = Member(known, heard, heard + self.lease_seconds)
        self._keep(known)
        self._tell()
        return self.lease_seconds

    def renew(self, name: str) -> bool:
        """Renew the lease of a host that registers as it did last; whether it is known.

        This is what agents do all the time: it reads no fact and writes nothing.
        """
        member = self._members.get(name)
        if member is None:
            return False
        self._let_in(name)
        now, wall = self._clocks.monotonic(), self._clocks.wall()
        back = now >= member.lease_ends
        member.heard_at, member.lease_ends = now, now + self.lease_seconds
        member.known = replace(member.known, last_seen_unix_ns=wall)
        if self._keeper is not None:
            self._keeper.seen(name, wall)
        if back:
            self._tell()
        return True

    async def drain(self, name: str, draining: bool) -> None:
        """Take a host out of new runs, at once, or back in; it is on disk when this returns.

        Raises ``NoSuchHost``, and ``StoreError``: then it lasts until a restart.
        """
        self.get(name)
        if draining:
            self._set_draining(name, True)
        if self._keeper is not None:
            await self._keeper.flush()  # the store must know the host
            await self._keeper.store.set_draining(name, draining)
        self._set_draining(name, draining)

    async def forget(self, name: str) -> None:
        """Drop a host. Raises ``NoSuchHost``, and ``WrongState`` while it renews its lease."""
        state = self.get(name).state
        if state in ("healthy", "draining"):
            raise WrongState(
                f"the host is {state}: its agent would register again at once",
                field="host",
                value=name,
                remedy="Stop its agent first, or take it out of runs with tonnage drain.",
            )
        if self._keeper is not None:
            await self._keeper.forget(name)
        self._members.pop(name, None)
        gone = [key for key in self._agents if key[0] == name]
        await asyncio.gather(*(self._agents.pop(key).close() for key in gone))

    async def bar(self, names: Iterable[str]) -> None:
        """Dial these hosts no more, and count them lost, until they register again."""
        barred = set(names)
        self._barred |= barred
        now = self._clocks.monotonic()
        for name in barred & self._members.keys():
            member = self._members[name]
            member.heard_at = min(member.heard_at, now - self._lost_after)
            member.lease_ends = now
        shut = [agent for (name, _), agent in self._agents.items() if name in barred]
        await asyncio.gather(*(agent.bar() for agent in shut))

    def hosts(self) -> tuple[HostInfo, ...]:
        """Every host, by name."""
        now = self._clocks.monotonic()
        members = sorted(self._members.copy().items())
        return tuple(m.info(m.state(now, self._lost_after)) for _, m in members)

    def leases(self) -> tuple[Lease, ...]:
        """How every host stands at one moment, by name."""
        now = self._clocks.monotonic()
        members = sorted(self._members.copy().items())
        return tuple(m.lease(name, now, self._lost_after) for name, m in members)

    def healthy(self) -> tuple[HostInfo, ...]:
        """The hosts that take new runs, by name."""
        return tuple(host for host in self.hosts() if host.healthy)

    def get(self, name: str) -> HostInfo:
        """The host called ``name``; raises ``NoSuchHost`` naming those there are."""
        member = self._members.get(name)
        if member is not None:
            return member.info(member.state(self._clocks.monotonic(), self._lost_after))
        known = ", ".join(sorted(self._members)[:_SHOWN]) or "none"
        raise NoSuchHost(
            "no host of this name has registered",
            field="host",
            value=name,
            remedy=f"Registered hosts: {known}.",
        )

    def address_of(self, name: str, otherwise: str) -> str:
        """Where a host was last heard from; ``otherwise`` if it never was."""
        member = self._members.get(name)
        return member.known.address if member is not None else otherwise

    async def changed(self) -> None:
        """Wait until a host registers, comes back, or is drained or taken back in."""
        await self._change.wait()

    def agent(self, host: str, address: str) -> Agent:
        """The connection to ``host``'s agent at ``address``; made on first use."""
        if (host, address) not in self._agents:
            self._agents[host, address] = self._dial(host, address)
            self._agents[host, address].barred = host in self._barred
        return self._agents[host, address]

    async def close(self) -> None:
        """Let go of every connection. Idempotent."""
        agents, self._agents = self._agents, {}
        await asyncio.gather(*(agent.close() for agent in agents.values()))

    def _keep(self, known: KnownHost) -> None:
        if self._keeper is not None:
            self._keeper.changed(known)

    def _set_draining(self, name: str, draining: bool) -> None:
        member = self._members.get(name)
        if member is not None and member.known.draining is not draining:
            member.known = replace(member.known, draining=draining)
            self._tell()

    def _let_in(self, name: str) -> None:
        """It registered, so it has a certificate that holds."""
        if name in self._barred:
            self._barred.discard(name)
            for (host, _), agent in self._agents.items():
                if host == name:
                    agent.barred = False

    def _tell(self) -> None:
        change, self._change = self._change, asyncio.Event()
        change.set()

    def _check_name_is_free(self, told: Registration, other: Member | None) -> None:
        if other is None or other.known.facts.agent_id == told.facts.agent_id:
            return
        if other.known.address == told.address:  # what was there before is gone
            return
        if self._clocks.monotonic() < other.lease_ends:
            raise InvalidInput(
                f"another agent holds this name, at {other.known.address}",
                field="facts.host",
                value=told.facts.host,
                remedy=f"Give one of them another --name, or wait {self.lease_seconds:g} s.",
            )
