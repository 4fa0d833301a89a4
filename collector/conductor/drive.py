"""One run on one host, from handing over the plan to the host's last event.

The agent works on its own and keeps what it measured; a drive only asks for
what the store does not hold yet, so it may break and be taken up anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import structlog

from collector import errors
from collector.agents import Agent, AgentBusy, Released
from collector.conductor.dialling import Dialler
from collector.conductor.patience import Patience, Trouble
from collector.conductor.pull import Pull
from collector.conductor.storing import until_stored
from collector.conductor.work import unless
from collector.model import HostRun, ended_as, is_lost
from collector.stores.base import Store
from tonnage import wire
from tonnage.model import Problem, ProblemKind, RunFinished, RunState
from tonnage.v1 import model_pb2

_log = structlog.get_logger(__name__)


class Observer(Protocol):
    """Is told what a drive does."""

    def stored(self, host: str, events: Sequence[model_pb2.Event], seconds: float) -> None:
        """Events that were not known before were committed in ``seconds``."""

    def prepared(self, host: str) -> None:
        """The host says that it is ready to begin; that need not be stored yet."""

    def troubled(self, host: str, problem: Problem) -> None:
        """Something failed and is tried again."""

    def ended(self, host: str, state: RunState, problem: Problem | None) -> None:
        """Nothing more comes from this host."""


class Drive:
    """Drives one host until its end is in the store; see ``run``."""

    def __init__(
        self,
        host: HostRun,
        dialler: Dialler,
        store: Store,
        patience: Patience,
        observer: Observer,
    ) -> None:
        self.host = host.host
        self.state = host.state
        self.problem = host.problem
        self._row = host
        self._mark = host.high_water
        self._plan = host.plan
        self._dialler = dialler
        self._store = store
        self._patience = patience
        self._trouble = Trouble(patience, asyncio.get_running_loop().time)
        self._observer = observer
        self._cancelled = asyncio.Event()
        self._awake = asyncio.Event()
        self._limit = asyncio.timeout(None)
        self._handed_over = host.high_water > 0
        self._has_turn = False

    async def run(self, turn: asyncio.Event) -> None:
        """Return once the host's end is stored; ``state`` and ``problem`` tell it.

        Nothing is handed over before ``turn`` is set. A store that fails is waited for.
        """
        if self.state.ended:
            return
        if not await unless(self._cancelled.wait(), turn.wait()):
            await self._end(RunState.CANCELLED, None)
            return
        self._has_turn = True
        await self._within_time_limit()

    def take_up(self) -> None:
        """The host was given up and is back: ``run`` goes on where it was."""
        self.state, self.problem = RunState.RUNNING, None
        self._handed_over = True
        self._trouble = Trouble(self._patience, asyncio.get_running_loop().time)

    def wake(self) -> None:
        """The host was heard of: what waits to try again need not."""
        self._awake.set()

    def wish_cancelled(self) -> None:
        """Stop the run on this host as soon as it answers."""
        self._cancelled.set()

    async def cancel(self) -> bool:
        """Stop the run on this host; whether the host took it.

        A host that cannot be told now is told when it answers again, as is one that was
        given up.
        """
        self.wish_cancelled()
        nothing_there = not self._has_turn
        if self.state.ended:
            nothing_there = not is_lost(self.state, self.problem)
        return nothing_there or await self._tell_cancelled()

    async def release(self, begin_in_seconds: float) -> Released:
        """See ``barrier.Gate``."""
        agent = self._dialler.agent(self._row)
        return await agent.release_run(self._plan.run_id, begin_in_seconds)

    async def _within_time_limit(self) -> None:
        limit = self._plan.time_limit_seconds
        try:
            async with asyncio.timeout(self._most() if limit else None) as self._limit:
                while not self.state.ended:
                    await self._try_once()
        except TimeoutError:
            if self.state.ended:  # only its last acknowledgement was under way
                return
            message = f"host {self.host} did not end within its time limit of {limit:g} s"
            await self._abandon(Problem(ProblemKind.GUARD, message))

    def _most(self) -> float:
        """Seconds until an agent that keeps its plan's time limit must have ended."""
        plan = self._plan
        return plan.time_limit_seconds + plan.release_within_seconds + self._patience.overtime

    async def _try_once(self) -> None:
        try:
            await self._attempt()
        except errors.NoSuchRun as error:
            await self._give_up(error.problem if self._mark == 0 else self._forgotten())
        except errors.InvalidInput as error:  # the plan is nothing to the agent
            await self._give_up(error.problem)
        except errors.UnstorableEvent as error:
            await self._abandon(error.problem)
        except errors.TonnageError as error:
            await self._after(error)

    async def _attempt(self) -> None:
        run_id, agent = self._plan.run_id, await self._dialler.connected(self._row)
        if self._handed_over:
            # Says what is stored, and shows that somebody is there.
            await agent.ack(run_id, self._mark)
        elif not await self._hand_over(agent):
            await self._end(RunState.CANCELLED, None)
            return
        self._trouble.answered()
        if self._cancelled.is_set():
            await agent.cancel_run(run_id)
        prepared = partial(self._observer.prepared, self.host)
        pull = Pull((run_id, self.host), agent, self._store, self._stored, prepared)
        await pull.events_after(self._mark)

    async def _hand_over(self, agent: Agent) -> bool:
        """Whether the agent has the plan now: one that was cancelled is not given.

        It may have it already, from an offer whose answer was lost or from a
        collector before this one, so it is asked even then.
        """
        if self._cancelled.is_set():
            try:
                await agent.cancel_run(self._plan.run_id)
            except errors.NoSuchRun:
                return False
        else:
            await agent.start_run(self._plan)
        self._handed_over = True
        return True

    def _stored(self, events: Sequence[model_pb2.Event], seconds: float) -> None:
        self._mark = events[-1].sequence
        self._trouble.moved_on()
        self._observer.stored(self.host, events, seconds)
        if events[-1].WhichOneof("payload") == "run_finished":
            finished = wire.from_message(events[-1].run_finished, RunFinished)
            self._ended(ended_as(finished), finished.problem)

    async def _after(self, error: errors.TonnageError) -> None:
        """Wait before the next attempt, or give the host up.

        One that is silent is not told to stop: should it come back, it goes on.
        """
        cancelled = self._cancelled.is_set()
        if isinstance(error, errors.StoreError):
            self._start_limit_anew()
        if self._trouble.too_long(error, cancelled=cancelled):
            silent = isinstance(error, errors.Unreachable | AgentBusy) and not cancelled
            await (self._give_up if silent else self._abandon)(error.problem)
            return
        _log.info("trying again", host=self.host, run=self._plan.run_id, why=str(error))
        self._observer.troubled(self.host, error.problem)
        await self._pause(cancelled)

    def _start_limit_anew(self) -> None:
        """It is for agents that hang; that the store failed is not the agent's doing."""
        if self._limit.when() is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + self._most())

    async def _pause(self, cancelled: bool) -> None:
        """Wait, though no longer than until there is news: a cancellation, or of the host."""
        self._awake.clear()
        rest = unless(self._awake.wait(), asyncio.sleep(self._trouble.delay()))
        await (rest if cancelled else unless(self._cancelled.wait(), rest))

    async def _abandon(self, problem: Problem) -> None:
        """Stop the run there too, if anybody listens: nothing of it is waited for."""
        await self._tell_cancelled()
        await self._give_up(problem)

    async def _give_up(self, problem: Problem) -> None:
        await self._end(RunState.PARTIAL if self._mark else RunState.FAILED, problem)

    def _forgotten(self) -> Problem:
        return Problem(
            ProblemKind.UNAVAILABLE,
            f"the agent of host {self.host} no longer holds this run: it cannot go on there",
            remedy=f"What was measured until event {self._mark} is kept; run the rest anew.",
        )

    async def _end(self, state: RunState, problem: Problem | None) -> None:
        run_id, store = self._plan.run_id, self._store
        write = partial(store.set_host_state, run_id, self.host, state, problem)
        await until_stored(write, self._patience)
        self._ended(state, problem)

    def _ended(self, state: RunState, problem: Problem | None) -> None:
        self.state, self.problem = state, problem
        self._observer.ended(self.host, state, problem)

    async def _tell_cancelled(self) -> bool:
        return await self._dialler.cancel(self._row)
