"""From a run's host to its agent, not too many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from collector.agents import Agent
from collector.errors import NoSuchHost, NoSuchRun, TonnageError
from collector.fleet import Fleet
from collector.model import HostRun
from collector.views import Cancelled

_log = structlog.get_logger(__name__)
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

    async def cancel(self, host: HostRun) -> bool:
        """Tell a host to stop its run; whether it took it, or has none such."""
        try:
            await self.agent(host).cancel_run(host.run_id)
        except NoSuchRun:
            return True
        except TonnageError as error:
            _log.warning("cancel not taken", host=host.host, why=str(error))
            return False
        return True

    async def cancel_all(self, hosts: Sequence[HostRun]) -> Cancelled:
        """Likewise for many: which of them took it, and which did not."""
        took = await asyncio.gather(*map(self.cancel, hosts))
        answers = [(host.host, ok) for host, ok in zip(hosts, took, strict=True)]
        return Cancelled(
            tuple(host for host, ok in answers if ok),
            tuple(host for host, ok in answers if not ok),
        )
