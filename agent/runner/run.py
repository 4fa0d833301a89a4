"""Carries out one plan on this host, from its first event to its last.

Whatever happens in between, the run's log ends with ``RunFinished``, and
nothing of the run is left on the host, or its remains are named. A run that is
*suspended*, as the agent stops, or cut off, as it dies, has no such end yet:
the agent's next life makes a ``PlanRun`` of what is stored, and that goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import TypeVar

import structlog

from agent.errors import AgentStopping, RunEnded, TonnageError
from agent.runner.caches import Caches, learn
from agent.runner.ending import last_event
from agent.runner.equipment import Equipment
from agent.runner.past import Past
from agent.runner.preparing import changed_images, engines_back, prepare
from agent.runner.stage import StageRun, Suspended, guard_problem
from agent.runner.sweeping import sweep
from agent.runner.templates import Templates
from agent.runner.work import Work
from agent.runner.working_time import WorkingTime
from agent.runtimes.base import Prepared
from agent.storage.runbook import Stop
from agent.storage.runlog import RunLog
from tonnage.model import (
    Fingerprint,
    HostFacts,
    Notice,
    Plan,
    Problem,
    ProblemKind,
    RunFinished,
    RunPrepared,
    RunReleased,
    RunStarted,
    Stage,
    StageFinished,
    StopReason,
)

T = TypeVar("T")

_log = structlog.get_logger("agent.runner.run")


@dataclass(frozen=True, slots=True)
class Released:
    """What a release did: ``before`` if the run had been released already;
    ``began_after_seconds`` from the call until launching had begun, where it has."""

    before: bool
    began_after_seconds: float | None


class PlanRun:
    """One run on this host. ``past``: what it did in earlier lives of the agent."""

    def __init__(self, equipment: Equipment, plan: Plan, log: RunLog, past: Past) -> None:
        self._equipment = equipment
        self.plan = plan
        self._log = log
        self._past = past
        self._time = WorkingTime(plan, equipment, log.book)
        self._stop: Stop | None = log.book.stop
        self._stopping = asyncio.Event()
        if self._stop is not None:
            self._stopping.set()
        self._released = asyncio.Event()
        self._release_asked = asyncio.Event()
        if log.book.released or past.released or not plan.release_within_seconds > 0:
            self._release_asked.set()
            self._released.set()
        self._prepared = past.prepared
        self._caches = Caches({}, drop_all=False)
        self._templates = Templates(plan, equipment)
        self._at_work = asyncio.Event()
        self._began: float | None = None
        self._suspended = False
        self._stage: StageRun | None = None
        self._driven: set[str] = set()
        self._problems: list[Problem] = []
        self._ready_trials = past.ready_trials

    def begin(self, facts: HostFacts, runtimes: Mapping[str, Fingerprint]) -> None:
        """Record that the run began: its first event."""
        self._log.record(RunStarted(facts, tuple(runtimes.values())))

    # From outside

    def cancel(self, message: str) -> None:
        """Stop launching, end the starts in flight, remove everything, end ``cancelled``."""
        self._end(Stop(StopReason.CANCELLED, message), True)

    def suspend(self) -> None:
        """Leave the run as it stands: remove everything, and let the agent's next life go on."""
        self._suspended = True
        self._log.book.suspend()
        self._stopping.set()
        if self._stage is not None:
            self._stage.suspend()

    async def release(self, begin_in_seconds: float = 0.0) -> Released:
        """Let the launching begin, so long after this call. Returns once that is on disk,
        and, where the images are ready, once launching has begun.

        Raises ``RunEnded`` for a run that waited too long, or was stopped.
        """
        loop = asyncio.get_running_loop()
        called = loop.time()
        before = self._release_asked.is_set()
        if self._suspended:
            raise AgentStopping("the agent is stopping", remedy="Release the run again later.")
        if self._stopping.is_set() and not self._at_work.is_set():
            raise RunEnded(
                "the run was stopped before it was released",
                field="run_id",
                value=self.plan.run_id,
                remedy="Submit it again.",
            )
        if not before:
            self._release_asked.set()
            self._log.book.release()
            loop.call_at(called + begin_in_seconds, self._released.set)
        await self._log.book.kept()
        if self._prepared:
            await self._at_work.wait()
        if before or self._began is None:
            return Released(before, None)
        return Released(before, self._began - called)

    def _end(self, stop: Stop, now: bool) -> None:
        """Launch nothing more; ``now`` also ends the starts in flight."""
        cancelled = stop.reason is StopReason.CANCELLED
        if self._stop is None or (cancelled and self._stop.reason is not stop.reason):
            self._stop = stop
            self._log.book.stopped(stop)
            self._log.record(Notice(stop.message))
        self._stopping.set()
        if self._stage is not None:
            self._stage.stop(stop.reason, stop.message, now=now)

    # From its first event to its last

    async def execute(self) -> RunFinished | None:
        """Carry the plan out; returns its last event, once that is recorded, or ``None``
        when it was suspended and nothing of it is left on the host."""
        try:
            await self._carry_out()
        except Suspended:
            pass
        except TonnageError as error:
            self._problems.append(error.problem)
        except Exception as error:  # noqa: BLE001 (a run must end with its last event)
            _log.exception("a run failed in an unforeseen way", run=self.plan.run_id)
            self._problems.append(_internal(error))
        finally:
            self._at_work.set()  # nobody waits for a beginning any more
            await self._templates.remove()
        if self._suspended:
            return None
        self._end_open_stages()
        swept = await sweep(self.plan, self._equipment)
        finished = last_event(self._stop, self._problems, swept, self._ready_trials)
        self._log.record(finished, self._equipment.journal.compact)
        self._equipment.metrics.run_ended(finished.state.value)
        self._equipment.metrics.leaked(len(finished.leaked))
        return finished

    async def _carry_out(self) -> None:
        self._log.book.taken_up(self._equipment.clock.boot_id)
        await self._equipment.inventory.current()
        prepared = await self._prepare() or {}
        await self._wait_for_release()
        if self._suspended:
            raise Suspended
        if not (self._at_work.is_set() or self._past.released):
            return  # stopped before it began
        with self._time.at_work(self._end):
            await self._stages(prepared)

    async def _prepare(self) -> dict[str, Prepared] | None:
        """Every target's image, outside every window; ``None`` when the run was stopped first."""
        began_ns = self._equipment.clock.now_ns()
        prepared = await self._unless_stopped(self._make_ready())
        if prepared is None:
            return None
        for notice in changed_images(self._past, prepared):
            self._log.record(notice)
        for snapshot in self._templates.told():
            self._log.record(snapshot)
        if not self._prepared:
            seconds = (self._equipment.clock.now_ns() - began_ns) / 1e9
            self._prepared = True
            self._log.record(RunPrepared(seconds))
        return prepared

    async def _make_ready(self) -> dict[str, Prepared]:
        await self._log.flushed()  # the run's beginning comes first; a full disk is waited for
        await engines_back(self.plan, self._equipment)
        await self._clear()
        prepared = await prepare(self.plan, self._equipment)
        self._caches = await learn(
            self.plan.targets,
            prepared,
            self._equipment.runtimes,
            drop_all=self._equipment.drop_caches,
        )
        return await self._templates.make(prepared)

    async def _clear(self) -> None:
        """Remove what could not be removed at the agent's start: its engine was away."""
        held = self._equipment.holdings.of_run(self.plan.run_id)
        if not any(holding.state == "orphaned" for holding in held):
            return
        swept = await sweep(self.plan, self._equipment)
        if swept.leaked:
            names = ", ".join(swept.leaked)
            self._log.record(Notice(f"the run goes on beside what survived of it: {names}"))

    async def _wait_for_release(self) -> None:
        """Raises ``TonnageError`` when it does not come in time."""
        limit = min(self.plan.release_within_seconds, self._equipment.limits.max_run_seconds)
        if not (self._release_asked.is_set() or self._stopping.is_set()):
            try:
                async with asyncio.timeout(limit):
                    await self._unless_stopped(self._release_asked.wait())
            except TimeoutError as error:
                raise TonnageError(
                    f"the run was ready, but was not released within {limit:g} s",
                    field="release_within_seconds",
                    value=f"{limit:g}",
                    remedy="Another host may have failed to make ready; see the run's hosts.",
                ) from error
        if not self._stopping.is_set():
            await self._unless_stopped(self._released.wait())
        if self._stopping.is_set():
            return
        self._log.book.time(self._equipment.clock)
        if not self._past.released:
            self._log.record(RunReleased())
        self._began = asyncio.get_running_loop().time()
        self._at_work.set()
        await asyncio.sleep(0)  # who released it is answered first, which bounds the skew

    async def _unless_stopped(self, work: Coroutine[None, None, T]) -> T | None:
        """The work's result, or ``None`` when the run was stopped first."""
        task = asyncio.get_running_loop().create_task(work)
        stopping = asyncio.get_running_loop().create_task(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not self._stopping.is_set():
                return task.result()
            return None
        finally:
            stopping.cancel()
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # a failure that nobody asks for any more

    # The stages

    async def _stages(self, prepared: Mapping[str, Prepared]) -> None:
        used = self._time.used_seconds
        work = Work(self._equipment, self.plan, self._log, self._past, prepared, used, self._caches)
        for stage in self.plan.stages:
            if stage.id in self._past.finished:
                self._recall(stage)
            elif self._suspended:
                raise Suspended
            elif self._stop is None or self._past.begun(stage.id):
                self._driven.add(stage.id)
                await self._carry_out_stage(StageRun(work, stage))

    async def _carry_out_stage(self, run: StageRun) -> None:
        self._stage = run
        try:
            problem = await run.drive()
        finally:
            self._stage = None
            self._ready_trials += run.ready_trials
        self._problems.extend(p for p in (problem, run.guard) if p is not None)

    def _recall(self, stage: Stage) -> None:
        """The problems of a stage that ended in an earlier life."""
        before = self._log.book.stage_stops.get(stage.id)
        found = (self._past.finished[stage.id], guard_problem(before) if before else None)
        self._problems.extend(problem for problem in found if problem is not None)

    # The last event

    def _end_open_stages(self) -> None:
        """A stage of an earlier life that could not be taken up ends with the run."""
        why = self._problems[0] if self._problems else None
        for stage_id in self._past.open_stages():
            if stage_id not in self._driven:
                self._log.record(StageFinished(stage_id, why))


def _internal(error: Exception) -> Problem:
    return Problem(
        ProblemKind.INTERNAL,
        f"defect of the agent: {type(error).__name__}: {error}",
        remedy="The agent's log has the details.",
    )
