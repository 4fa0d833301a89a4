"""Instances launched and removed by hand, outside every run.

They are trials like any other (population ``manual``), but leave no rows: the
answer to the call is all there is.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from agent import guards
from agent.errors import (
    AgentStopping,
    InstanceLeaked,
    InvalidInput,
    LaunchFailed,
    NoSuchInstance,
    RunActive,
    RuntimeUnavailable,
    TonnageError,
)
from agent.runner.admission import admit_target
from agent.runner.attempts import Attempt, Order
from agent.runner.caches import learn
from agent.runner.equipment import Equipment
from agent.runner.holdings import Holding
from agent.runner.sweeping import leaked_ids
from agent.runtimes.base import Scope
from tonnage.model import InstanceInfo, Mode, Outcome, Population, Target, Trial

T = TypeVar("T")

MAX_READY_TIMEOUT_SECONDS = 3600.0
# An instance launched by hand stays until it is destroyed, or this long.
LIFETIME_SECONDS = 24 * 3600.0

_log = structlog.get_logger("agent.runner.manual")


@dataclass(slots=True)
class Cleaning:
    """What a cleaning removed and what it could not."""

    removed: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)


class Manual:
    """Launch, list, destroy and clean, as commands by hand."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment
        self._tasks: set[asyncio.Task[Any]] = set()
        self._draining = False

    async def launch(
        self, target: Target, ready_timeout_seconds: float
    ) -> tuple[InstanceInfo, Trial]:
        """Launch one instance and wait until it is ready.

        Raises ``LaunchFailed`` with evidence when it does not become so: nothing
        is left of it then. Raises ``InvalidInput``, ``RuntimeUnavailable`` or
        ``GuardTripped`` when nothing was launched.
        """
        self._require_leave()
        order = await self._order(target, ready_timeout_seconds)
        began = time.monotonic()
        starting = self._spawn(self._attempt(order))
        try:
            attempt = await asyncio.shield(starting)
        except asyncio.CancelledError:  # the caller is gone: nobody would know the instance
            self._spawn(self._abandon(order.trial_id, starting))
            raise
        self._equipment.metrics.trial(target, attempt.trial, time.monotonic() - began)
        if attempt.trial.outcome is Outcome.READY:
            return attempt.holding.info(), attempt.trial
        self._equipment.trials.settled(attempt.holding)
        raise _failure(attempt)

    def keep(self, work: Coroutine[None, None, None]) -> None:
        """See work to its end that goes on when its caller is gone."""
        self._spawn(work)

    async def _attempt(self, order: Order) -> Attempt:
        """Nothing comes between the question whether it may be launched, and its launch."""
        order = await self._set(order)
        self._require_leave()
        limits, state = self._equipment.limits, self._equipment.state(0.0)
        wanted = self._equipment.trials.reserve.of(order.target, order.accelerator)
        trip = guards.check(limits, state) or guards.check_crowd(limits, state, wanted)
        if trip is not None:
            raise trip
        return await self._equipment.trials.attempt(order)

    async def _set(self, order: Order) -> Order:
        """The order with its page cache set, if it is to be a cold one."""
        equipment, target = self._equipment, order.target
        prepared = {target.id: order.prepared}
        caches = await learn([target], prepared, equipment.runtimes, drop_all=equipment.drop_caches)
        return await caches.set(order)

    def _require_leave(self) -> None:
        if self._draining:
            raise AgentStopping("the agent is stopping", remedy="Launch again later.")
        if self._equipment.trials.halted:
            raise RunActive(
                "everything on this host is being stopped", remedy="Launch again afterwards."
            )

    def _spawn(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        """Work that goes on when its caller is gone; ``drain`` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _abandon(self, trial_id: str, starting: asyncio.Task[Attempt]) -> None:
        for holding in self._equipment.holdings.of_run(""):
            if holding.entry.trial.trial_id == trial_id:
                holding.cancel()
        try:
            attempt = await starting
        except TonnageError:  # nothing was launched
            return
        if attempt.trial.outcome is Outcome.READY:
            await self._equipment.trials.remove(attempt.holding)
        self._equipment.trials.settled(attempt.holding)

    async def _order(self, target: Target, ready_timeout_seconds: float) -> Order:
        if not 0 < ready_timeout_seconds <= MAX_READY_TIMEOUT_SECONDS:
            raise InvalidInput(
                f"must lie above 0 and up to {MAX_READY_TIMEOUT_SECONDS:g}",
                field="ready_timeout_seconds",
                value=f"{ready_timeout_seconds:g}",
            )
        equipment = self._equipment
        found = await equipment.inventory.recheck({target.runtime})
        admit_target(target, "target", equipment.runtimes, found)
        if target.mode is Mode.RESTORE:
            raise InvalidInput(
                "what is restored needs a snapshot, which belongs to a run",
                field="target.mode",
                value=target.mode.value,
                remedy="Launch it warm, or ask for mode restore in an experiment.",
            )
        prepared = await equipment.runtimes[target.runtime].prepare(target.workload)
        return Order(
            run_id="",
            stage_id="",
            trial_id=f"manual-{secrets.token_hex(4)}",
            target=target,
            prepared=prepared,
            accelerator=found[target.runtime].accelerator,
            population=Population.MANUAL,
            number=0,
            block=0,
            concurrency=1,
            fill=0,
            ready_timeout_seconds=ready_timeout_seconds,
            lifetime_seconds=LIFETIME_SECONDS,
            noisy_above_share=1.0,
        )

    def instances(self) -> list[InstanceInfo]:
        """Every instance this agent holds, those of runs included."""
        return [holding.info() for holding in self._equipment.holdings]

    async def destroy(self, instance_id: str) -> None:
        """Destroy one instance and verify that nothing survived.

        Raises ``NoSuchInstance``, ``InstanceLeaked``, or ``InvalidInput`` for an
        instance that the active run still works with.
        """
        holding = self._equipment.holdings.get(instance_id)
        if holding is None:
            raise NoSuchInstance(
                "this agent holds no such instance", field="instance_id", value=instance_id
            )
        if holding.entry.run_id and holding.state != "orphaned":
            raise InvalidInput(
                "the instance belongs to a run in progress",
                field="instance_id",
                value=instance_id,
                remedy="Cancel the run instead.",
            )
        await asyncio.shield(self._spawn(self._remove(holding)))

    async def _remove(self, holding: Holding) -> None:
        await self._adopt(holding)
        if holding.state == "starting":
            holding.cancel()
            return  # its launch removes it
        end = await self._equipment.trials.remove(holding)
        self._equipment.trials.settled(holding)
        if end.error:
            raise InstanceLeaked(
                f"the instance survived its removal: {end.error}",
                value=holding.id,
                remedy="Run: tonnage clean.",
            )

    async def _adopt(self, holding: Holding) -> None:
        """Take hold of an instance of an earlier life of the agent."""
        runtime = self._equipment.runtimes.get(holding.entry.runtime)
        if holding.instance is not None or holding.state != "orphaned":
            return
        if runtime is None:
            raise RuntimeUnavailable(
                "the agent no longer offers the runtime of this instance",
                value=holding.entry.runtime,
                remedy="Start the agent with it in --runtimes.",
            )
        holding.instance = await runtime.recover(holding.id)

    async def clean(self, active_run_id: str) -> Cleaning:
        """Remove every instance of this agent's scope that no live run holds."""
        return await asyncio.shield(self._spawn(self._clean(active_run_id)))

    async def drain(self) -> Cleaning:
        """Remove everything, once no run is active, and launch nothing any more: an agent
        that stops leaves nothing."""
        self._draining = True
        cleaning = await self.clean("")
        while self._tasks:
            await asyncio.wait(self._tasks)
        return cleaning

    async def _clean(self, active_run_id: str) -> Cleaning:
        cleaning = Cleaning()
        loose = [h for h in self._equipment.holdings if self._loose(h, active_run_id)]
        for holding, error in zip(loose, await self._remove_all(loose), strict=True):
            (cleaning.removed if error is None else cleaning.leaked).append(holding.id)
        if not active_run_id:
            await self._reap(cleaning)
        return cleaning

    @staticmethod
    def _loose(holding: Holding, active_run_id: str) -> bool:
        return not active_run_id or holding.entry.run_id != active_run_id

    async def _remove_all(self, holdings: Iterable[Holding]) -> list[BaseException | None]:
        work = (self._remove(holding) for holding in holdings)
        return await asyncio.gather(*work, return_exceptions=True)

    async def _reap(self, cleaning: Cleaning) -> None:
        for runtime in self._equipment.runtimes.values():
            try:
                removed = await runtime.reap(Scope(self._equipment.agent_id))
            except InstanceLeaked as leak:
                cleaning.leaked.extend(set(leaked_ids(leak)) - set(cleaning.leaked))
            except TonnageError as error:  # an engine that is gone holds nothing we can remove
                _log.warning("cannot clean", runtime=runtime.name, reason=str(error))
            else:
                cleaning.removed.extend(set(removed) - set(cleaning.removed))


def _failure(attempt: Attempt) -> TonnageError:
    start = attempt.start
    if start.failure is not None:
        return start.failure
    told = {
        Outcome.TIMED_OUT: f"the instance was {start.error}",
        Outcome.CANCELLED: f"the launch was {start.error}",
    }.get(start.outcome, f"the launch failed: {start.error}")
    return LaunchFailed(told, evidence=start.evidence)
