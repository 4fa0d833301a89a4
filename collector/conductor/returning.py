"""What becomes of a run of which an agent that registers still holds events.

======================================  =========================================
the run goes on, the host too           it is tried again at once, out of turn
the run goes on, the host was given up  the host is taken up again, out of turn
it ended, and the host was lost         it is reopened, out of turn
it was cancelled                        the agent is told; what it has is stored
it ended otherwise                      what the agent has is stored
it goes on, and is not driven here      it is left to whoever drives it
it is not of this collector's store     it is left alone
======================================  =========================================
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from collector.agents import Agent
from collector.conductor.liverun import LiveRun
from collector.conductor.pull import Pull
from collector.errors import InvalidInput, NoSuchRun, TonnageError, Unreachable
from collector.model import HostRun, Run
from collector.stores.base import Store
from collector.views import HeldRun
from tonnage.model import RunState
from tonnage.v1 import model_pb2

_log = structlog.get_logger(__name__)
_Events = Sequence[model_pb2.Event]


class Runs(Protocol):
    """The runs that have not ended, as they are taken back."""

    def live(self, run_id: str) -> LiveRun | None:
        """The run, if it has not ended."""

    def agent(self, host: HostRun) -> Agent:
        """The connection to a host's agent."""

    def at_work(self, live: LiveRun, host: str) -> None:
        """A host of a run that goes on was heard of, and holds it: it waits for no turn."""

    async def take_up(self, live: LiveRun, host: str) -> bool:
        """Go on with a host that was given up; false when the run is ending."""

    async def reopen(self, run_id: str, at_work: Sequence[str]) -> Sequence[str]:
        """Make a run go on that had ended; the hosts that do."""


class Returning:
    """Takes back what agents hold, one after another for each run and host."""

    def __init__(
        self, store: Store, runs: Runs, spawn: Callable[[Coroutine[Any, Any, None], str], None]
    ) -> None:
        self._store = store
        self._runs = runs
        self._spawn = spawn
        self._under_way: set[tuple[str, str]] = set()
        # Asked for once in a collector's life: what cannot be read now cannot be later.
        self._salvaged: set[tuple[str, str]] = set()

    def returned(self, host: str, held: Sequence[HeldRun]) -> None:
        """A host has registered with these runs. Returns at once."""
        for run in held:
            key = (run.run_id, host)
            if key not in self._under_way:
                self._under_way.add(key)
                self._spawn(self._take_back(host, run), f"take back {run.run_id} from {host}")

    async def _take_back(self, host: str, held: HeldRun) -> None:
        try:
            await self._decide(host, held)
        except (TonnageError, TimeoutError) as error:  # it registers again
            _log.info("not taken back yet", run=held.run_id, host=host, why=str(error))
        except Exception:  # noqa: BLE001 - a defect here must not end the collector
            _log.exception("a defect kept a run from being taken back", run=held.run_id)
        finally:
            self._under_way.discard((held.run_id, host))

    async def _decide(self, host: str, held: HeldRun) -> None:
        live = self._runs.live(held.run_id)
        if live is not None and live.under_way(host):
            self._runs.at_work(live, host)
            return
        found = await self._find(host, held)
        if found is None:
            return
        run, row = found
        if live is None and not run.state.ended:  # another collector drives it, or soon one will
            return
        agent = self._runs.agent(row)
        await agent.connected()
        if held.finished and held.last_sequence <= row.high_water:
            await agent.ack(run.run_id, row.high_water)
        elif _cancelled(run, live):
            await self._cancel(run, row, agent)
        elif row.lost and run.raw_removed_at_unix_ns is None:
            await agent.ack(run.run_id, row.high_water)  # it can be dialled, and does hold it
            await self._go_on(live, run, host)
        else:
            await self._salvage(run, row, agent)

    async def _find(self, host: str, held: HeldRun) -> tuple[Run, HostRun] | None:
        try:
            run = await self._store.find_run(held.run_id)
        except InvalidInput:
            return None
        rows = await self._store.host_runs(run.run_id, host) if run.run_id == held.run_id else ()
        return (run, rows[0]) if rows else None

    async def _go_on(self, live: LiveRun | None, run: Run, host: str) -> None:
        _log.info("a lost host is back", run=run.run_id, host=host)
        if live is not None:
            if await self._runs.take_up(live, host):
                return
            await live.gone.wait()
        await self._runs.reopen(run.run_id, (host,))

    async def _cancel(self, run: Run, row: HostRun, agent: Agent) -> None:
        try:
            await agent.cancel_run(run.run_id)
        except NoSuchRun:
            return
        _log.info("told that its run was cancelled", run=run.run_id, host=row.host)
        await self._salvage(run, row, agent)

    async def _salvage(self, run: Run, row: HostRun, agent: Agent) -> None:
        """Store what was measured; nothing of how the run ended changes by it."""
        key = (run.run_id, row.host)
        if key in self._salvaged:
            return
        self._salvaged.add(key)
        try:
            async with asyncio.timeout(row.plan.time_limit_seconds or None):
                await Pull(key, agent, self._store, _not_counted).events_after(row.high_water)
        except (Unreachable, TimeoutError):  # that may well go better when it registers again
            self._salvaged.discard(key)
            raise


def _cancelled(run: Run, live: LiveRun | None) -> bool:
    by_now = live is not None and live.cancelled
    return run.cancel_requested or run.state is RunState.CANCELLED or by_now


def _not_counted(_events: _Events, _seconds: float) -> None:
    """The run has ended: nobody watches."""
