"""The launches of one stage: whether one may begin, the trial it makes, what is then held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from agent import guards
from agent.errors import GuardTripped, RuntimeUnavailable, SpoolError, SpoolFull, TonnageError
from agent.experiments.base import Launch
from agent.runner.attempts import Attempt, Order
from agent.runner.engines import Engines
from agent.runner.holdings import Holding
from agent.runner.schedule import Schedule
from agent.runner.work import Work
from agent.runtimes.base import ParentGroup
from tonnage.model import (
    ChurnPoint,
    ChurnStart,
    Notice,
    Outcome,
    Problem,
    Stage,
    StopReason,
    Trial,
    TrialEnd,
)

_PAUSE_WORTH_TELLING_SECONDS = 0.05

Trip = Callable[[StopReason, Problem], None]


class Starts:
    """Makes the trials of one stage. ``held``: instances that live, by trial id;
    ``parent``: the memory group that all are placed below, if the stage has one."""

    def __init__(self, work: Work, stage: Stage, stopped: asyncio.Event, trip: Trip) -> None:
        """``stopped``: nothing is launched any more; ``trip``: told of a guard that says so."""
        self._work = work
        self._stage = stage
        self._stopped = stopped
        self._trip = trip
        self.schedule = Schedule(stopped)
        self._engines = Engines(work.equipment.inventory.answers, stopped, self._paused)
        self.held: dict[str, Holding] = {}
        self.parent: ParentGroup | None = None
        self.ready_trials = 0
        self._crowded = False

    async def make(self, launch: Launch) -> Trial:
        """Make one attempt; the row says what became of it. A launch that was not begun has
        no row: it is answered as cancelled."""
        order = self._order(launch)
        if order.due_seconds is not None:
            await self.schedule.until(order.due_seconds)
        while True:
            await self._engines.back(order.target.runtime)
            refusal = await self._refusal()
            if refusal:
                return order.trial(Outcome.CANCELLED, refusal)
            if (crowd := self._crowd(order)) is not None:
                await self._wait(crowd)
                continue
            trial = await self._attempt(order)
            if trial is not None:
                return trial

    def forget(self, trial_id: str) -> Holding:
        """Hold it no longer."""
        return self.held.pop(trial_id)

    async def _refusal(self) -> str:
        """Why nothing may be launched now; such a launch was never made and is no row."""
        equipment = self._work.equipment
        while not self._stopped.is_set():
            if (trouble := await self._room()) is not None:
                self._trip(StopReason.DISK_HEADROOM, trouble.problem)
                return f"not launched: {trouble}"
            trip = guards.check(equipment.limits, equipment.state(self._work.used_seconds()))
            if trip is None:
                return ""
            if trip.reason is not StopReason.DISK_HEADROOM:  # else it filled between two looks
                self._trip(trip.reason, trip.problem)
                return f"not launched: {trip}"
        return "not launched: the run is stopping"

    def _crowd(self, order: Order) -> GuardTripped | None:
        """Why the launch has to wait for another start in flight, if so."""
        equipment = self._work.equipment
        state = equipment.state(self._work.used_seconds())
        wanted = equipment.trials.reserve.of(order.target, order.accelerator)
        return guards.check_crowd(equipment.limits, state, wanted)

    async def _wait(self, crowd: GuardTripped) -> None:
        """Let a start in flight end first. Told once a stage: how many are in flight is
        then not what the plan says."""
        if not self._crowded:
            self._crowded = True
            what = "fewer instances start at a time than was asked for"
            self._tell(f"{crowd.problem.message}; {what}")
        await self._work.equipment.trials.reserve.ended(self._stopped)

    async def _room(self) -> SpoolFull | None:
        """Wait until the launch can be recorded; why it cannot be, after much patience."""
        equipment = self._work.equipment
        try:
            paused = await equipment.spool.room(
                self._work.log,
                equipment.spool_patience_seconds,
                self._stopped,
                self._no_room_elsewhere,
            )
        except SpoolFull as full:
            return full
        if paused > _PAUSE_WORTH_TELLING_SECONDS:
            self._tell(f"launching paused {paused:.2f} s: there was no room on disk")
        return None

    def _paused(self, text: str) -> None:
        """An engine was waited for; if it was started anew, its daemons are others."""
        self._tell(text)
        self._work.watch_engines()

    def _tell(self, text: str) -> None:
        self._work.log.record(Notice(text, self._stage.id))

    def _no_room_elsewhere(self) -> SpoolError | None:
        """Trouble of the journal, or a disk that is fuller than its guard allows."""
        equipment = self._work.equipment
        if equipment.journal.trouble is not None:
            return equipment.journal.trouble
        trip = guards.check_disk(equipment.limits, equipment.observer.disk_free_bytes())
        return SpoolFull(trip.problem.message) if trip is not None else None

    async def _attempt(self, order: Order) -> Trial | None:
        """Make the trial; ``None`` when it could not even be journaled, or the run stops."""
        equipment = self._work.equipment
        try:
            order = await self._work.caches.set(order)
        except TonnageError as error:
            return self._unfit(order, error)
        if self._stopped.is_set():
            return None
        began = time.monotonic()
        try:
            attempt = await equipment.trials.attempt(order)
        except SpoolError:
            return None
        if not attempt.launched:
            equipment.trials.settled(attempt.holding)
            return attempt.trial
        equipment.metrics.trial(order.target, attempt.trial, time.monotonic() - began)
        gone = isinstance(attempt.start.failure, RuntimeUnavailable)
        (self._engines.missed if gone else self._engines.met)(order.target.runtime)
        self._schedule_kept(order, attempt)
        self._store(attempt)
        return attempt.trial

    def _schedule_kept(self, order: Order, attempt: Attempt) -> None:
        """Record how late an attempt was, if it had a time. Before its own row: an attempt
        that is stored is known to have been on schedule or not."""
        timeline = attempt.holding.timeline
        if order.due_seconds is None or timeline is None:
            return
        late_seconds = self.schedule.late_seconds(order.due_seconds, timeline.requested_ns)
        start = ChurnStart(order.trial_id, order.attempt, order.due_seconds, late_seconds)
        self._work.log.record(ChurnPoint(self._stage.id, start))

    def _unfit(self, order: Order, error: TonnageError) -> Trial:
        """An attempt that failed before its launch: it could not begin as its mode says."""
        trial = order.trial(Outcome.FAILED, f"not launched: {error}")
        self._work.past.attempts[trial.trial_id] = trial.attempt
        self._work.log.record(trial)
        self._work.log.record(TrialEnd(trial.trial_id, trial.attempt))
        return trial

    def _store(self, attempt: Attempt) -> None:
        trial, log = attempt.trial, self._work.log
        self._work.past.attempts[trial.trial_id] = trial.attempt
        log.record(trial)
        if trial.suspect:
            self._tell(
                f"trial {trial.trial_id}: its marks are out of order, a defect of the instrument"
            )
        if trial.outcome is Outcome.READY:
            self.ready_trials += 1
            self.held[trial.trial_id] = attempt.holding
        if attempt.end is not None:
            holding, trials = attempt.holding, self._work.equipment.trials
            log.record(attempt.end, lambda: trials.settled(holding))

    def _order(self, launch: Launch) -> Order:
        work = self._work
        target = work.target(launch.target_id)
        if launch.memory_bytes is not None:
            target = replace(target, memory_bytes=launch.memory_bytes)
        limit = min(work.plan.time_limit_seconds, work.equipment.limits.max_run_seconds)
        return Order(
            run_id=work.plan.run_id,
            stage_id=self._stage.id,
            trial_id=launch.trial_id,
            target=target,
            prepared=work.prepared_for(target),
            accelerator=work.accelerator(target),
            population=launch.population,
            number=launch.number,
            block=launch.block,
            concurrency=launch.concurrency,
            fill=launch.fill,
            ready_timeout_seconds=self._stage.experiment.ready_timeout_seconds,
            lifetime_seconds=limit + work.equipment.orphan_grace_seconds,
            noisy_above_share=work.plan.noisy_above_share,
            attempt=work.past.attempts.get(launch.trial_id, 0) + 1,
            parent=self.parent,
            due_seconds=launch.due_seconds,
        )
