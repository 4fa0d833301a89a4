"""Drives one stage of a plan: executes its machine's instructions, answers with events.

Instructions run concurrently, answers reach the machine one at a time, in the
order in which their rows were recorded: so a machine that hears the rows again
comes to the same state (``agent.experiments.course``). Starts and removals are
never cancelled from outside: a stop ends the starts in flight through their
deadlines, so that each still cleans up after itself and leaves its row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from agent.errors import TonnageError
from agent.experiments.base import (
    Ask,
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
from agent.experiments.course import Course, take_up
from agent.runner.asking import ask_all
from agent.runner.confining import Confinement, confine
from agent.runner.holdings import Holding
from agent.runner.starts import Starts
from agent.runner.weighing import weigh_all
from agent.runner.work import Work
from agent.storage.runbook import StageStop
from tonnage.model import (
    DensityResult,
    Forecast,
    Notice,
    Outcome,
    Payload,
    Problem,
    ProblemKind,
    Stage,
    StageFinished,
    StageStarted,
    StartupStage,
    StopReason,
    Target,
)

_log = structlog.get_logger("agent.runner.stage")


class Suspended(Exception):
    """The stage was left as it stands."""


class StageRun:
    """One stage being carried out, from its beginning or from where it was left."""

    def __init__(self, work: Work, stage: Stage) -> None:
        self._work = work
        self._equipment = work.equipment
        self._stage = stage
        self._log = work.log
        self._events: asyncio.Queue[ExperimentEvent] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._measuring: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._suspended = asyncio.Event()
        self._starts = Starts(work, stage, self._stopped, self._trip)
        self._confinement: Confinement | None = None
        self._defect: Problem | None = None
        self.guard: Problem | None = None
        self._before = work.log.book.stage_stops.get(stage.id)
        if self._before is not None:
            self._stopped.set()
            self.guard = guard_problem(self._before)

    @property
    def ready_trials(self) -> int:
        """How many became ready."""
        return self._starts.ready_trials

    def stop(self, reason: StopReason, message: str, *, now: bool) -> None:
        """Launch nothing more; ``now`` also ends the starts in flight. Repeated calls
        change nothing but that."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._events.put_nowait(Stopped(reason, message))
        if now:
            self._end_starts(Outcome.CANCELLED)

    def suspend(self) -> None:
        """Leave the stage as it stands: launch nothing more, end the starts in flight, tell
        the machine nothing."""
        self._suspended.set()
        self._stopped.set()
        self._end_starts(Outcome.INTERRUPTED)
        if self._measuring is not None:
            self._measuring.cancel()  # it only reads

    def _end_starts(self, outcome: Outcome) -> None:
        for holding in self._equipment.holdings.of_run(self._work.plan.run_id):
            holding.cancel(outcome)

    async def drive(self) -> Problem | None:
        """Carry the stage out and leave no instance of it; why its work was not done, if so.

        Raises ``Suspended`` once nothing of it is left on the host.
        """
        problem: Problem | None = None
        try:
            problem = await self._drive()
        except Suspended:
            pass
        except TonnageError as error:
            _log.error("a stage cannot go on", stage=self._stage.id, why=str(error))
            problem = error.problem
            self.stop(StopReason.CANCELLED, "the stage failed", now=True)
        except Exception as error:  # noqa: BLE001 (whatever it is, the run must go on and say so)
            problem = self._internal(error)
            self.stop(StopReason.CANCELLED, "the stage failed", now=True)
        while self._tasks:
            await asyncio.wait(self._tasks)
        cut = self._suspended.is_set()
        left = list(self._starts.held.values())
        await asyncio.gather(*(self._remove(holding, interrupted=cut) for holding in left))
        await self._lift()
        if cut:
            raise Suspended
        problem = self._defect or problem
        self._log.record(StageFinished(self._stage.id, problem))
        return problem

    async def _confine(self) -> None:
        self._confinement = await confine(self._stage, self._equipment)
        if self._confinement is not None:
            self._starts.parent = self._confinement.parent

    async def _lift(self) -> None:
        if self._confinement is not None and (left := await self._confinement.lift()):
            self._log.record(Notice(left, self._stage.id))

    async def _drive(self) -> Problem | None:
        floor = self._equipment.limits.memory_headroom_bytes
        targets = {target.id: target for target in self._work.plan.targets}
        seed = self._work.plan.seed
        course = Course(open_experiment(self._stage, targets, seed, floor))
        self._work.watch_engines()
        await self._confine()
        instructions = await self._begin(course)
        while True:
            for instruction in instructions:
                if isinstance(instruction, Finish):
                    return instruction.problem
                self._execute(instruction)
            event = await self._next_event()
            if isinstance(event, Stopped):
                await self._remember(event, course.heard)
            instructions = course.handle(event)

    async def _begin(self, course: Course) -> Sequence[Instruction]:
        """The first instructions: of a fresh stage, or of one that was left."""
        past = self._work.past
        if not past.begun(self._stage.id):
            self._log.record(StageStarted(self._stage.id, course.trials_expected))
            return course.start()
        stop, after = self._stop_before()
        left = take_up(course, past.rows_of(self._stage.id), stop, after)
        await self._launch_again(left.again, course)
        return left.open

    def _stop_before(self) -> tuple[Stopped | None, int | None]:
        """The stop that the machine had been told, or must be told first."""
        if self._before is not None:
            return Stopped(self._before.reason, self._before.message), self._before.heard
        whole = self._log.book.stop
        if whole is None:
            return None, None
        self._stopped.set()
        while not self._events.empty():  # the same stop, from the run
            self._events.get_nowait()
        return Stopped(whole.reason, whole.message), None

    async def _launch_again(self, lost: Sequence[Launch], course: Course) -> None:
        """Launch what lived when the agent ended; one that fails shows in the next sample."""
        room = asyncio.Semaphore(max((launch.concurrency for launch in lost), default=1))

        async def again(launch: Launch) -> None:
            async with room:
                trial = await self._starts.make(replace(launch, due_seconds=None))
                if trial.outcome is Outcome.READY:
                    course.held(trial)

        for launch in lost:
            self._spawn(again(launch))
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._suspended.is_set():
            raise Suspended

    async def _remember(self, stop: Stopped, heard: int) -> None:
        """Keep when the machine was told to stop, before what follows from it."""
        guard = self.guard is not None
        kept = StageStop(stop.reason, stop.message, heard, guard)
        self._log.book.stage_stopped(self._stage.id, kept)
        await self._log.book.kept()

    async def _next_event(self) -> ExperimentEvent:
        while self._events.empty() and not self._suspended.is_set():
            if not self._tasks:
                raise RuntimeError("the experiment waits for an answer to nothing")
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        if self._suspended.is_set():
            raise Suspended
        return self._events.get_nowait()

    def _execute(self, instruction: Instruction) -> None:
        match instruction:
            case Launch():
                self._spawn(self._launch(instruction))
            case Destroy(trial_ids):
                for trial_id in trial_ids:
                    self._spawn(self._destroy(trial_id))
            case Measure():
                self._measuring = self._spawn(self._measure(instruction))
            case Ask():
                self._measuring = self._spawn(self._ask(instruction))
            case Record(payload):
                self._record(payload)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

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

    def _trip(self, reason: StopReason, why: Problem) -> None:
        if not self._stopped.is_set():
            self.guard = replace(why, kind=ProblemKind.GUARD)
            self._equipment.metrics.guard_tripped(reason)
            self._log.record(Notice(why.message, self._stage.id))
        self.stop(reason, why.message, now=False)

    def _record(self, payload: Payload) -> None:
        self._log.record(payload)
        metrics = self._equipment.metrics
        if isinstance(payload, DensityResult | Forecast):
            target = self._only_target()
            if isinstance(payload, DensityResult):
                metrics.density(target, self._work.accelerator(target), payload)
            else:
                metrics.forecast(target, self._work.accelerator(target), payload)

    async def _launch(self, launch: Launch) -> None:
        self._events.put_nowait(TrialDone(await self._starts.make(launch)))

    async def _destroy(self, trial_id: str) -> None:
        await self._remove(self._starts.held[trial_id])
        self._events.put_nowait(Destroyed(trial_id))

    async def _remove(self, holding: Holding, *, interrupted: bool = False) -> None:
        end = await self._equipment.trials.remove(holding, interrupted=interrupted)
        self._starts.held.pop(end.trial_id, None)
        self._log.record(end, lambda: self._equipment.trials.settled(holding))

    async def _measure(self, measure: Measure) -> None:
        """Rest, unless the run is stopping; then weigh."""
        with suppress(TimeoutError):
            async with asyncio.timeout(measure.settle_seconds):
                await self._stopped.wait()
        held = [self._starts.held.get(trial_id) for trial_id in measure.trial_ids]
        memory = self._confinement.memory if self._confinement is not None else None
        at_seconds = self._starts.schedule.elapsed_seconds()
        sample = await weigh_all(held, self._work, self._only_target(), memory)
        self._events.put_nowait(Measured(sample, at_seconds))

    async def _ask(self, ask: Ask) -> None:
        answered = await ask_all(ask, self._starts.held, self._equipment.observer)
        self._events.put_nowait(answered)

    def _only_target(self) -> Target:
        """The target of a stage that has one: all but start-up."""
        experiment = self._stage.experiment
        if isinstance(experiment, StartupStage):
            raise TypeError("a startup stage measures nothing but starts")
        return self._work.target(experiment.target_id)


def guard_problem(stop: StageStop) -> Problem | None:
    """The problem of a stage that a guard of the agent had stopped."""
    return Problem(ProblemKind.GUARD, stop.message) if stop.guard else None
