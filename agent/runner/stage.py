"""Drives one stage of a plan: executes its machine's instructions, answers with events.

Instructions run concurrently, answers reach the machine one at a time. Tasks
are never cancelled from outside: a stop ends the starts in flight through their
deadlines, so that each still cleans up after itself and leaves its row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence

import structlog

from agent import guards
from agent.errors import SpoolError, SpoolFull
from agent.experiments.base import (
    Destroy,
    Destroyed,
    ExperimentEvent,
    Finish,
    Instruction,
    Launch,
    Measure,
    Measured,
    Record,
    Stopped,
    TrialDone,
)
from agent.experiments.catalog import open_experiment
from agent.runner.equipment import Equipment
from agent.runner.holdings import Holding
from agent.runner.trials import Attempt, Order
from agent.runner.weighing import weigh
from agent.runtimes.base import Prepared
from agent.storage.runlog import RunLog
from tonnage.model import (
    Accelerator,
    DensityResult,
    Forecast,
    Notice,
    Outcome,
    Payload,
    Plan,
    Problem,
    ProblemKind,
    Stage,
    StageFinished,
    StageStarted,
    StartupStage,
    StopReason,
    Target,
    Trial,
)

_PAUSE_WORTH_TELLING_SECONDS = 0.05

_log = structlog.get_logger("agent.runner.stage")


class StageRun:
    """One stage being carried out. ``ready_trials`` counts what became ready."""

    def __init__(
        self,
        equipment: Equipment,
        plan: Plan,
        stage: Stage,
        log: RunLog,
        prepared: Mapping[str, Prepared],
        began: float,
    ) -> None:
        self._equipment = equipment
        self._plan = plan
        self._stage = stage
        self._log = log
        self._prepared = prepared
        self._began = began
        self._targets = {target.id: target for target in plan.targets}
        self._events: asyncio.Queue[ExperimentEvent] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, Holding] = {}
        self._starting: set[str] = set()
        self._stopped = asyncio.Event()
        self._defect: Problem | None = None
        self.ready_trials = 0
        self.guard: Problem | None = None

    def stop(self, reason: StopReason, message: str, *, now: bool) -> None:
        """Launch nothing more; ``now`` also ends the starts in flight. Repeated calls
        change nothing but that."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._events.put_nowait(Stopped(reason, message))
        if now:
            for holding in self._equipment.holdings.of_run(self._plan.run_id):
                holding.cancel()

    async def drive(self) -> Problem | None:
        """Carry the stage out and leave no instance of it; why its work was not done, if so."""
        problem: Problem | None
        try:
            problem = await self._drive()
        except Exception as error:  # noqa: BLE001 (whatever it is, the run must go on and say so)
            problem = self._internal(error)
            self.stop(StopReason.CANCELLED, "the stage failed", now=True)
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.gather(*(self._remove(holding) for holding in list(self._held.values())))
        problem = self._defect or problem
        self._log.record(StageFinished(self._stage.id, problem))
        return problem

    async def _drive(self) -> Problem | None:
        floor = self._equipment.limits.memory_headroom_bytes
        machine = open_experiment(self._stage, self._targets, self._plan.seed, floor)
        self._log.record(StageStarted(self._stage.id, machine.trials_expected))
        self._equipment.observer.engines(self._engine_pids())
        instructions: Sequence[Instruction] = machine.start()
        while True:
            for instruction in instructions:
                if isinstance(instruction, Finish):
                    return instruction.problem
                self._execute(instruction)
            instructions = machine.handle(await self._next_event())

    def _engine_pids(self) -> set[int]:
        """The daemons of every engine the plan uses; they may have been started anew."""
        runtimes = self._equipment.runtimes
        names = {target.runtime for target in self._plan.targets}
        return {pid for name in names for pid in runtimes[name].engine_pids()}

    async def _next_event(self) -> ExperimentEvent:
        while self._events.empty():
            if not self._tasks:
                raise RuntimeError("the experiment waits for an answer to nothing")
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        return self._events.get_nowait()

    def _execute(self, instruction: Instruction) -> None:
        match instruction:
            case Launch():
                self._spawn(self._launch(instruction))
            case Destroy(trial_ids):
                for trial_id in trial_ids:
                    self._spawn(self._destroy(trial_id))
            case Measure():
                self._spawn(self._measure(instruction))
            case Record(payload):
                self._record(payload)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watched(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 (a defect ends the stage, not the run)
            self._defect = self._internal(error)
            self.stop(StopReason.CANCELLED, "the stage failed", now=True)

    def _internal(self, error: Exception) -> Problem:
        _log.error("a stage failed in an unforeseen way", stage=self._stage.id, exc_info=error)
        return Problem(
            ProblemKind.INTERNAL,
            f"defect in stage {self._stage.id}: {type(error).__name__}: {error}",
            remedy="The agent's log has the details.",
        )

    def _record(self, payload: Payload) -> None:
        self._log.record(payload)
        metrics = self._equipment.metrics
        if isinstance(payload, DensityResult | Forecast):
            target = self._only_target()
            if isinstance(payload, DensityResult):
                metrics.density(target, self._accelerator(target), payload)
            else:
                metrics.forecast(target, self._accelerator(target), payload)

    # Launching

    async def _launch(self, launch: Launch) -> None:
        order = self._order(launch)
        trial = None
        while trial is None:
            refusal = await self._refusal()
            if refusal:
                trial = order.trial(Outcome.CANCELLED, refusal)
            else:
                trial = await self._attempt(order)
        self._events.put_nowait(TrialDone(trial))

    async def _refusal(self) -> str:
        """Why nothing may be launched now; such a launch was never made and is no row."""
        if self._stopped.is_set():
            return "not launched: the run is stopping"
        if (trouble := await self._room()) is not None:
            self._trip(StopReason.DISK_HEADROOM, str(trouble))
            return f"not launched: {trouble}"
        elapsed = time.monotonic() - self._began
        state = self._equipment.observer.state(len(self._equipment.holdings), elapsed)
        trip = guards.check(self._equipment.limits, state)
        if trip is not None:
            self._trip(trip.reason, str(trip))
            return f"not launched: {trip}"
        return ""

    async def _room(self) -> SpoolFull | None:
        """Wait until the launch can be recorded; why it cannot be, after much patience."""
        equipment = self._equipment
        try:
            paused = await equipment.spool.room(
                self._log,
                equipment.spool_patience_seconds,
                self._stopped,
                lambda: equipment.journal.trouble,
            )
        except SpoolFull as full:
            return full
        if paused > _PAUSE_WORTH_TELLING_SECONDS:
            text = f"launching paused {paused:.2f} s: the spool had no room"
            self._log.record(Notice(text, self._stage.id))
        return None

    def _trip(self, reason: StopReason, message: str) -> None:
        if not self._stopped.is_set():
            self.guard = Problem(ProblemKind.GUARD, message)
            self._equipment.metrics.guard_tripped(reason)
            self._log.record(Notice(message, self._stage.id))
        self.stop(reason, message, now=False)

    async def _attempt(self, order: Order) -> Trial | None:
        """Make the trial; ``None`` when it could not even be journaled."""
        began = time.monotonic()
        try:
            attempt = await self._equipment.trials.attempt(order)
        except SpoolError:
            return None
        if not attempt.launched:
            self._equipment.trials.settled(attempt.holding)
            return attempt.trial
        self._equipment.metrics.trial(order.target, attempt.trial, time.monotonic() - began)
        self._store(attempt)
        return attempt.trial

    def _store(self, attempt: Attempt) -> None:
        trial = attempt.trial
        self._log.record(trial)
        if trial.suspect:
            text = f"trial {trial.trial_id}: its marks are out of order, a defect of the instrument"
            self._log.record(Notice(text, self._stage.id))
        if trial.outcome is Outcome.READY:
            self.ready_trials += 1
            self._held[trial.trial_id] = attempt.holding
        if attempt.end is not None:
            holding, trials = attempt.holding, self._equipment.trials
            self._log.record(attempt.end, lambda: trials.settled(holding))

    def _order(self, launch: Launch) -> Order:
        target = self._targets[launch.target_id]
        limit = min(self._plan.time_limit_seconds, self._equipment.limits.max_run_seconds)
        return Order(
            run_id=self._plan.run_id,
            stage_id=self._stage.id,
            trial_id=launch.trial_id,
            target=target,
            prepared=self._prepared[target.id],
            accelerator=self._accelerator(target),
            population=launch.population,
            number=launch.number,
            block=launch.block,
            concurrency=launch.concurrency,
            fill=launch.fill,
            ready_timeout_seconds=self._stage.experiment.ready_timeout_seconds,
            lifetime_seconds=limit + self._equipment.orphan_grace_seconds,
            noisy_above_share=self._plan.noisy_above_share,
        )

    def _accelerator(self, target: Target) -> Accelerator:
        return self._equipment.inventory.found[target.runtime].accelerator

    # Removing

    async def _destroy(self, trial_id: str) -> None:
        await self._remove(self._held[trial_id])
        self._events.put_nowait(Destroyed(trial_id))

    async def _remove(self, holding: Holding) -> None:
        end = await self._equipment.trials.remove(holding)
        self._held.pop(end.trial_id, None)
        self._log.record(end, lambda: self._equipment.trials.settled(holding))

    # Measuring

    async def _measure(self, measure: Measure) -> None:
        await self._settle(measure.settle_seconds)
        held = [self._held[trial_id].instance for trial_id in measure.trial_ids]
        target = self._only_target()
        sample = await weigh(
            [instance for instance in held if instance is not None],
            self._equipment.runtimes[target.runtime],
            self._prepared[target.id],
            self._equipment.observer,
        )
        self._equipment.metrics.sample(target, self._accelerator(target), sample)
        self._events.put_nowait(Measured(sample))

    async def _settle(self, seconds: float) -> None:
        """Rest, unless the run is stopping."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            pass

    def _only_target(self) -> Target:
        """The target of a stage that has one: density and footprint."""
        experiment = self._stage.experiment
        if isinstance(experiment, StartupStage):
            raise TypeError("a startup stage measures nothing but starts")
        return self._targets[experiment.target_id]
