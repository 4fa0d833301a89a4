"""Drives runs over their hosts, and takes unfinished ones up again after a restart.

A run is ``pending`` until one of its hosts works on it, then ``running``, and
ends once: ``finished`` when every host finished its plan, ``cancelled`` when an
operator stopped it, ``failed`` when no host measured anything, else ``partial``.
One that ended ``partial`` or ``failed`` may be resumed for the hosts it lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Self

import structlog

from collector.agents import Agent
from collector.conductor.barrier import Barrier
from collector.conductor.dialling import Dialler
from collector.conductor.drive import Drive
from collector.conductor.liverun import Figures, LiveRun
from collector.conductor.ownerless import Ownerless
from collector.conductor.patience import Patience
from collector.conductor.progress import RunTracker, restore, stored_progress
from collector.conductor.resuming import forgotten_by, nothing_left, refuse_resuming
from collector.conductor.returning import Returning
from collector.conductor.turns import Turns
from collector.conductor.work import unless
from collector.errors import StoreError
from collector.fleet import Fleet
from collector.model import HostRun, Run
from collector.stores.base import Store
from collector.views import Cancelled, HeldRun, Progress, Resumed
from tonnage.model import Problem, ProblemKind, RunState

_log = structlog.get_logger(__name__)


class Conductor:
    """Drives every run that has not ended, and that no other collector owns.

    ``async with`` it: entering takes up what a collector before it left, leaving
    stops the driving, not the runs.
    """

    def __init__(self, store: Store, fleet: Fleet, patience: Patience, figures: Figures) -> None:
        self._store = store
        self._patience = patience
        self._figures = figures
        self._dialler = Dialler(fleet)
        self._turns = Turns()
        self._live: dict[str, LiveRun] = {}
        # Runs that are being stored, and their hosts; those not to begin once they are.
        self._entering: dict[str, set[str]] = {}
        self._unwanted: set[str] = set()
        self._reopening = asyncio.Lock()
        self._returning = Returning(store, self, self._spawn)
        self._ownerless = Ownerless(store, self, patience.look_every)
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        await self._ownerless.look(at_once=True)
        self._spawn(self._ownerless.keep_looking(), "look for runs without an owner")
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
        self._entering[run.run_id] = {host.host for host in hosts}
        taking = asyncio.create_task(self._take_in(run, hosts), name=f"submit {run.run_id}")
        self._tasks.add(taking)
        taking.add_done_callback(self._tasks.discard)
        return await asyncio.shield(taking)

    async def submitted(self, request_token: str) -> Run | None:
        """The run that was submitted with this token, if one was."""
        return await self._store.run_by_token(request_token)

    async def cancel(self, run_id: str) -> Cancelled:
        """Cancel a run on every host; of one that has ended, on those that were given up:
        they may be at work on it still."""
        run = await self._store.find_run(run_id)
        lost: list[HostRun] = []
        if run.run_id not in self._live:
            async with self._reopening:
                lost = [row for row in await self._store.host_runs(run.run_id) if row.lost]
                if lost or not run.state.ended:  # none of them goes on with it when it is back
                    await self._store.request_cancel(run.run_id)
        live = self._live.get(run.run_id)
        return await (live.cancel() if live is not None else self._dialler.cancel_all(lost))

    async def cancel_on(self, hosts: Collection[str]) -> None:
        """Cancel every run that any of these hosts works on or waits for, on all of its own.

        Nothing more is handed over from the moment this is called.
        """
        touched = [run_id for run_id, of in self._entering.items() if not of.isdisjoint(hosts)]
        self._unwanted.update(touched)
        runs = [live for live in self._live.values() if any(map(live.under_way, hosts))]
        for live in runs:
            live.wish_cancelled()
        await asyncio.gather(*(live.cancel() for live in runs))

    async def returned(self, host: str, held: Sequence[HeldRun]) -> None:
        """A host has registered that holds events of these runs; returns at once."""
        self._returning.returned(host, held)

    async def resume(self, run_id: str) -> Resumed:
        """Take up again what of a run did not reach its end; the hosts that go on.

        Raises ``WrongState`` when there is nothing to resume.
        """
        run = await self._store.find_run(run_id)
        refuse_resuming(run, live=run.run_id in self._live)
        hosts = {host.host: host for host in await self._store.host_runs(run.run_id)}
        reopened = await self.reopen(run.run_id, ())
        if not reopened:
            raise nothing_left(run)
        begun = [hosts[name] for name in reopened if hosts[name].high_water]
        forgotten = await forgotten_by(run.run_id, begun, self.agent)
        if len(forgotten) == len(reopened):
            raise nothing_left(run, forgotten)
        return Resumed(run.run_id, tuple(name for name in reopened if name not in forgotten))

    async def watch(self, run_id: str) -> AsyncIterator[Progress]:
        """A run's progress now and after each change, until it, or the collector, ends."""
        run = await self._store.find_run(run_id)
        if not run.state.ended:
            async with self._reopening:  # it may be about to go on
                pass
        shown: Progress | None = None
        while not self._closing.is_set() or shown is None:
            live = self._live.get(run.run_id)
            updates = live.tracker.updates() if live else self._stored(run.run_id, shown)
            async for shown in updates:
                yield shown
                if shown.state.ended or self._closing.is_set():
                    return
                if live is not None and live.gone.is_set():
                    break  # not ours any more

    async def _stored(self, run_id: str, shown: Progress | None) -> AsyncIterator[Progress]:
        """What is stored of a run that is not driven here, after each change, until it is:
        another collector may drive it. Once something is shown, a failing store is waited for."""
        while run_id not in self._live and not self._closing.is_set():
            try:
                progress = await stored_progress(self._store, run_id)
            except StoreError as error:
                if shown is None:
                    raise
                _log.info("not seen for now", run=run_id, why=str(error))
            else:
                if progress != shown:
                    yield (shown := progress)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience.look_every):
                    await self._closing.wait()

    def before(self, run_id: str) -> Sequence[str]:
        """The runs that a run waits for; none where it waits for none."""
        return self._turns.before(run_id)

    def live(self, run_id: str) -> LiveRun | None:
        """See ``returning.Runs``."""
        return self._live.get(run_id)

    def agent(self, host: HostRun) -> Agent:
        """See ``returning.Runs``."""
        return self._dialler.agent(host)

    def at_work(self, live: LiveRun, host: str) -> None:
        """See ``returning.Runs``."""
        self._turns.attach(live.run.run_id, host)
        live.wake(host)

    async def take_up(self, live: LiveRun, host: str) -> bool:
        """See ``returning.Runs``."""
        return await live.take_up(host, self._turns)

    async def reopen(self, run_id: str, at_work: Sequence[str]) -> Sequence[str]:
        """See ``returning.Runs``."""
        async with self._reopening:
            if run_id in self._live or not await self._store.own(run_id):
                return ()
            reopened = await self._store.reopen_run(run_id)
            if reopened:
                await self._begin(await self._store.find_run(run_id), at_work)
            else:
                await self._store.disown(run_id)
            return reopened

    async def go_on(self, run: Run) -> None:
        """See ``ownerless.Runs``."""
        async with self._reopening:
            if run.run_id in self._live or run.run_id in self._entering:
                return
            if await self._store.own(run.run_id):
                now = await self._store.find_run(run.run_id)
                if now.state.ended:  # its owner ended it meanwhile
                    await self._store.disown(run.run_id)
                    return
                _log.info("taking up again", run=run.run_id)
                try:
                    await self._begin(now)
                except StoreError:  # another collector may be able to read it
                    await self._store.disown(run.run_id)
                    raise

    async def _take_in(self, run: Run, hosts: Sequence[HostRun]) -> Run:
        owned = False
        try:
            stored = await self._store.create_run(run, hosts)
            if stored.run_id == run.run_id:
                owned = await self._owned(run.run_id)
        finally:
            del self._entering[run.run_id]
            unwanted = run.run_id in self._unwanted  # the red button was pressed meanwhile
            self._unwanted.discard(run.run_id)
        if owned:
            self._drive(stored, hosts, RunTracker(stored, hosts, self._ahead(stored)), new=True)
            if unwanted:
                await self._live[run.run_id].cancel()
        elif unwanted:
            await self._store.request_cancel(run.run_id)
        return stored

    async def _owned(self, run_id: str) -> bool:
        """Whether a run that was just stored is ours; else it is taken up later."""
        try:
            return await self._store.own(run_id)
        except StoreError as error:
            _log.warning("not begun yet", run=run_id, why=str(error))
            return False

    async def _begin(self, run: Run, at_work: Sequence[str] = ()) -> None:
        """Go on with a run as its rows tell it."""
        hosts = await self._store.host_runs(run.run_id)
        tracker = RunTracker(run, hosts, self._ahead(run))
        await restore(self._store, tracker)
        self._drive(run, hosts, tracker, at_work)

    def _ahead(self, run: Run) -> Callable[[], Sequence[str]]:
        return lambda: self._turns.before(run.run_id)

    def _drive(
        self,
        run: Run,
        hosts: Sequence[HostRun],
        tracker: RunTracker,
        at_work: Sequence[str] = (),
        *,
        new: bool = False,
    ) -> None:
        """Drive a run; the hosts that have begun, or are ``at_work``, wait for no turn."""
        live = LiveRun(run, tracker, self._store, self._patience, self._figures)
        drives = [Drive(host, self._dialler, self._store, self._patience, live) for host in hosts]
        live.take(drives, _barrier(live, hosts, new=new))
        self._live[run.run_id] = live
        going = [host for host in hosts if not host.state.ended]
        begun = {h.host for h in going if h.high_water or h.host in at_work}
        rest = [host.host for host in going if host.host not in begun]
        # Those that did not begin with the others do not wait for each other now.
        parties = [rest] if run.state is RunState.PENDING else [[host] for host in rest]
        for host in begun:
            self._turns.attach(run.run_id, host)
        self._turns.enter(run.run_id, parties, tracker.changed)
        self._spawn(self._conduct(live), f"run {run.run_id}")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _conduct(self, live: LiveRun) -> None:
        """Drive a run to its end. A defect ends this run, not the collector."""
        run_id = live.run.run_id
        try:
            if not await unless(self._store.disowned(run_id), live.drive(self._turns)):
                _log.warning("not driven any more: it is not ours", run=run_id)
                self._ownerless.left(run_id, cancelled=live.cancelled)
        except Exception as error:  # noqa: BLE001 - see the docstring
            _log.exception("a defect ended the run", run=run_id)
            problem = Problem(ProblemKind.INTERNAL, f"a defect of Tonnage: {error!r}")
            with suppress(StoreError):
                await live.end(RunState.FAILED, problem)
            live.tracker.moved(RunState.FAILED, problem)
        finally:
            del self._live[run_id]
            live.gone.set()
            live.tracker.changed()
        await self._let_go(run_id)

    async def _let_go(self, run_id: str) -> None:
        async with self._reopening:
            if run_id not in self._live:  # it may go on already
                with suppress(StoreError):
                    await self._store.disown(run_id)


def _barrier(live: LiveRun, hosts: Sequence[HostRun], *, new: bool) -> Barrier | None:
    """The run's barrier, if its plans ask for one."""
    within = max((host.plan.release_within_seconds for host in hosts), default=0.0)
    clock = asyncio.get_running_loop().time
    return Barrier(live, within, clock, only=new) if within > 0 else None
