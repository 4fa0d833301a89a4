"""A conductor over a store of its own, for agents that play scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from collector.conductor.conductor import Conductor
from collector.conductor.patience import Patience
from collector.fleet import Fleet
from collector.metrics import Metrics
from collector.model import HostRun, Run
from collector.server.outcomes import Outcomes
from collector.server.publisher import Publisher
from collector.stores.base import Store
from collector.stores.open import open_store
from collector.views import HeldRun, Progress
from tests.integration.scripted_agent import ScriptedAgent
from tests.runs_made_up import plan, run

TRIALS = 30
_IMPATIENT = Patience(
    lost_after=1.0,
    cancelled_after=0.5,
    busy_after=1.0,
    overtime=0.3,
    backoff_first=0.02,
    backoff_most=0.1,
    look_every=0.1,
)


class Stand:
    """A conductor over a store of its own, which can be left and entered again."""

    def __init__(self, folder: Path, place: str = "") -> None:
        """``place`` is the store's, if it is not to be one in ``folder``."""
        self._place = place or str(folder / "store")
        self._stack = AsyncExitStack()
        self.store: Store
        self.fleet: Fleet
        self.conductor: Conductor

    async def __aenter__(self) -> Self:
        self.store = await open_store(self._place)
        self._stack.push_async_callback(self.store.close)
        self.fleet = Fleet()
        self._stack.push_async_callback(self.fleet.close)
        publisher = Publisher(Metrics("0", "0"), self.store, Outcomes(self.store))
        conductor = Conductor(self.store, self.fleet, _IMPATIENT, publisher)
        self.conductor = await self._stack.enter_async_context(conductor)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    async def submit(
        self,
        *agents: ScriptedAgent,
        run_id: str = "r1",
        time_limit_seconds: float = 60.0,
        release_within_seconds: float = 0.0,
    ) -> None:
        made = plan(run_id, TRIALS, time_limit_seconds)
        given = replace(made, release_within_seconds=release_within_seconds)
        hosts = [HostRun(run_id, agent.host, agent.address, given) for agent in agents]
        await self.conductor.submit(run(run_id), hosts)

    async def ended(self, run_id: str = "r1") -> Run:
        """Wait for the run's end, as a watcher does."""
        last = await self.until(lambda progress: progress.state.ended, run_id)
        found = await self.store.find_run(run_id)
        assert found.state is last.state
        return found

    async def until(self, seen: Callable[[Progress], bool], run_id: str = "r1") -> Progress:
        """Watch the run until it shows what is looked for."""
        async with asyncio.timeout(20):
            async for progress in self.conductor.watch(run_id):
                if seen(progress):
                    return progress
        raise AssertionError("the run ended before")

    async def returned(self, agent: ScriptedAgent, last: int, run_id: str = "r1") -> None:
        """The agent registers, and holds a run that goes on up to the event ``last``."""
        await self.conductor.returned(agent.host, [HeldRun(run_id, last, finished=False)])

    async def until_ready(self, trials: int) -> Progress:
        """Wait until so many trials of the first host are stored."""
        return await self.until(lambda progress: progress.hosts[0].ready >= trials)

    async def numbers(self, host: str = "h1") -> list[int]:
        return [
            row.trial.number
            async for batch in self.store.trials("r1")
            for row in batch
            if row.host == host
        ]
