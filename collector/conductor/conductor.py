"""Drives runs over their hosts, and takes unfinished ones up again after a restart.

A run is ``pending`` until one of its hosts works on it, then ``running``, and
ends once: ``finished`` when every host finished its plan, ``cancelled`` when an
operator stopped it, ``failed`` when no host measured anything, else ``partial``.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Self

import structlog

from collector.agents import Agent
from collector.conductor.drive import Drive
from collector.conductor.liverun import Figures, LiveRun
from collector.conductor.patience import Patience
from collector.conductor.progress import restored
from collector.errors import InvalidInput, StoreError
from collector.fleet import Fleet
from collector.model import HostRun, Run
from collector.stores.base import Store
from collector.views import Cancelled, Progress
from tonnage.model import Problem, ProblemKind, RunState

_log = structlog.get_logger(__name__)


class Conductor:
    """Owns every run that has not ended.

    ``async with`` it: entering takes up what a collector before it left, leaving
    stops the driving, not the runs.
    """

    def __init__(self, store: Store, fleet: Fleet, patience: Patience, figures: Figures) -> None:
        self._store = store
        self._fleet = fleet
        self._patience = patience
        self._figures = figures
        self._live: dict[str, LiveRun] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        for run in await self._store.unfinished_runs():
            _log.info("taking up again", run=run.run_id)
            await self._begin(run)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close_watches()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._group.__aexit__(None, None, None)

    def close_watches(self) -> None:
        """End every ``watch`` at once: the collector is going away."""
        self._closing.set()
        for live in self._live.values():
            live.tracker.changed()

    def active(self) -> dict[RunState, int]:
        """How many runs wait, and how many are under way."""
        states = [live.tracker.state for live in tuple(self._live.values())]
        return {state: states.count(state) for state in (RunState.PENDING, RunState.RUNNING)}

    async def submit(self, run: Run, hosts: Sequence[HostRun]) -> Run:
        """Store and start a run; the earlier one when its token was used before.

        A run that was stored is begun even when the one who asked has gone.
        """
        taking = asyncio.create_task(self._take_in(run, hosts), name=f"submit {run.run_id}")
        self._tasks.add(taking)
        taking.add_done_callback(self._tasks.discard)
        return await asyncio.shield(taking)

    async def submitted(self, request_token: str) -> Run | None:
        """The run that was submitted with this token, if one was."""
        return await self._store.run_by_token(request_token)

    async def gave_up(self, run_id: str) -> bool:
        """Whether a run is one of this store's that has ended, whatever its hosts do."""
        try:
            run = await self._store.find_run(run_id)
        except InvalidInput:
            return False
        return run.run_id == run_id and run.state.ended

    async def cancel(self, run_id: str) -> Cancelled:
        """Cancel a run on every host; nothing is left to do for one that has ended."""
        run = await self._store.find_run(run_id)
        live = self._live.get(run.run_id)
        if live is not None:
            return await live.cancel()
        if not run.state.ended:  # left as it is by a failure of the store: for the next start
            await self._store.request_cancel(run.run_id)
        return Cancelled((), ())

    async def watch(self, run_id: str) -> AsyncIterator[Progress]:
        """A run's progress now and after each change, until it, or the collector, ends."""
        run = await self._store.find_run(run_id)
        live = self._live.get(run.run_id)
        if live is None:
            # It ended, perhaps only since it was looked up: nothing will change any more.
            run = await self._store.find_run(run.run_id)
            yield (await restored(self._store, run)).snapshot()
            return
        async for progress in live.tracker.updates():
            yield progress
            if self._closing.is_set():
                return

    async def _take_in(self, run: Run, hosts: Sequence[HostRun]) -> Run:
        stored = await self._store.create_run(run, hosts)
        if stored.run_id == run.run_id:
            await self._begin(stored)
        return stored

    async def _begin(self, run: Run) -> None:
        hosts = await self._store.host_runs(run.run_id)
        tracker = await restored(self._store, run)
        live = LiveRun(run, tracker, self._store, self._figures)
        live.take([self._drive(host, live) for host in hosts])
        self._live[run.run_id] = live
        task = self._group.create_task(self._conduct(live), name=f"run {run.run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _drive(self, host: HostRun, live: LiveRun) -> Drive:
        return Drive(host, lambda: self._dial(host), self._store, self._patience, live)

    def _dial(self, host: HostRun) -> Agent:
        """The connection to a host, which may have moved since the run began."""
        moved = {info.facts.host: info.address for info in self._fleet.healthy()}
        return self._fleet.agent(host.host, moved.get(host.host, host.address))

    async def _conduct(self, live: LiveRun) -> None:
        """Drive a run to its end. A defect ends this run, not the collector."""
        try:
            await live.drive(self._turns.__getitem__)
        except StoreError as error:
            _log.error("run left as it is, until the next start", run=live.run.run_id, why=error)
            live.tracker.moved(RunState.FAILED, error.problem)
        except Exception as error:  # noqa: BLE001 - see the docstring
            _log.exception("a defect ended the run", run=live.run.run_id)
            problem = Problem(ProblemKind.INTERNAL, f"a defect of Tonnage: {error!r}")
            with suppress(StoreError):
                await live.end(RunState.FAILED, problem)
            live.tracker.moved(RunState.FAILED, problem)
        finally:
            del self._live[live.run.run_id]
