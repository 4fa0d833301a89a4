"""From a run's host to its agent, not too many at a time."""

from __future__ import annotations

import asyncio

from collector.agents import Agent
from collector.errors import NoSuchHost
from collector.fleet import Fleet
from collector.model import HostRun

# Connecting costs the event loop; a thousand at once would starve all else of it.
_AT_ONCE = 64
_CONNECT_SECONDS = 0.5


class Dialler:
    """Finds and connects agents."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def agent(self, host: HostRun) -> Agent:
        """The agent of a host, which may have moved since the run was made."""
        try:
            address = self._fleet.get(host.host).address
        except NoSuchHost:
            address = host.address
        return self._fleet.agent(host.host, address)

    async def connected(self, host: HostRun) -> Agent:
        """Likewise, connected if it can be had at once; if not, its calls will tell."""
        async with self._slots:
            agent = self.agent(host)
            await agent.connected(_CONNECT_SECONDS)
            return agent
