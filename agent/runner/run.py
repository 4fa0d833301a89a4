"""Carries out one plan on this host, from its first event to its last.

Whatever happens in between, the run's log ends with ``RunFinished``, and
nothing of the run is left on the host, or its remains are named.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import structlog

from agent import guards
from agent.errors import InstanceLeaked, TonnageError
from agent.runner.equipment import Equipment
from agent.runner.holdings import Holding
from agent.runner.stage import StageRun
from agent.runtimes.base import Prepared, Runtime, Scope
from agent.storage.runlog import RunLog
from tonnage.model import (
    Fingerprint,
    HostFacts,
    Notice,
    Plan,
    Problem,
    ProblemKind,
    RunFinished,
    RunStarted,
    RunState,
    StopReason,
    Target,
)

T = TypeVar("T")

# Unpacking a large image archive, or pulling one when the plan allows it.
PREPARE_SECONDS = 900.0
REAP_SECONDS = 120.0

_log = structlog.get_logger("agent.runner.run")


@dataclass(slots=True)
class Stop:
    """Why a run was stopped from outside, once it was."""

    reason: StopReason
    message: str


@dataclass(slots=True)
class Sweep:
    """What was still there at the end of a run, and what survived even that."""

    removed: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)


class PlanRun:
    """One run on this host."""

    def __init__(self, equipment: Equipment, plan: Plan, log: RunLog) -> None:
        self._equipment = equipment
        self.plan = plan
        self._log = log
        self._stop: Stop | None = None
        self._stopping = asyncio.Event()
        self._stage: StageRun | None = None
        self._problems: list[Problem] = []
        self._ready_trials = 0

    def begin(self, facts: HostFacts, runtimes: Mapping[str, Fingerprint]) -> None:
        """Record that the run began: its first event."""
        self._log.record(RunStarted(facts, tuple(runtimes.values())))

    def cancel(self, message: str) -> None:
        """Stop launching, end the starts in flight, remove everything, end ``cancelled``."""
        self._end(Stop(StopReason.CANCELLED, message))

    def _end(self, stop: Stop) -> None:
        cancelled = stop.reason is StopReason.CANCELLED
        if self._stop is None or (cancelled and self._stop.reason is not stop.reason):
            self._stop = stop
            self._log.record(Notice(stop.message))
        self._stopping.set()
        if self._stage is not None:
            self._stage.stop(stop.reason, stop.message, now=cancelled)

    async def execute(self) -> RunFinished:
        """Carry the plan out; returns its last event, once that is recorded."""
        limit = min(self.plan.time_limit_seconds, self._equipment.limits.max_run_seconds)
        out_of_time = Stop(StopReason.TIME_LIMIT, str(guards.out_of_time(limit)))
        timer = asyncio.get_running_loop().call_later(limit, self._end, out_of_time)
        try:
            await self._stages()
        except TonnageError as error:
            self._problems.append(error.problem)
        except Exception as error:  # noqa: BLE001 (a run must end with its last event)
            _log.exception("a run failed in an unforeseen way", run=self.plan.run_id)
            self._problems.append(_internal(error))
        finally:
            timer.cancel()
        finished = self._finished(await self._sweep())
        self._log.record(finished, self._equipment.journal.compact)
        self._equipment.metrics.run_ended(finished.state.value)
        self._equipment.metrics.leaked(len(finished.leaked))
        return finished

    async def _stages(self) -> None:
        began = time.monotonic()
        prepared = await self._prepare()
        for stage in self.plan.stages:
            if self._stop is not None:
                return
            run = StageRun(self._equipment, self.plan, stage, self._log, prepared, began)
            self._stage = run
            problem = await run.drive()
            self._stage = None
            self._ready_trials += run.ready_trials
            self._problems.extend(p for p in (problem, run.guard) if p is not None)

    # Before the first stage

    async def _prepare(self) -> dict[str, Prepared]:
        """Make every target's image ready, outside every window."""
        prepared: dict[tuple[str, str], Prepared] = {}
        by_target: dict[str, Prepared] = {}
        for target in self.plan.targets:
            if self._stop is not None:
                break
            key = (target.runtime, repr(target.workload))
            if key not in prepared:
                found = await self._unless_stopped(self._prepare_one(target))
                if found is None:
                    break
                prepared[key] = found
            by_target[target.id] = prepared[key]
        return by_target

    async def _prepare_one(self, target: Target) -> Prepared:
        try:
            async with asyncio.timeout(PREPARE_SECONDS):
                return await self._equipment.runtimes[target.runtime].prepare(target.workload)
        except TimeoutError as error:
            raise TonnageError(
                f"the image was not made ready within {PREPARE_SECONDS:g} s",
                field=f"targets[{target.id}].workload.image",
                value=target.workload.image,
            ) from error
        except TonnageError as error:
            where = error.problem.field or "workload.image"
            error.problem = replace(error.problem, field=f"targets[{target.id}].{where}")
            raise

    async def _unless_stopped(self, work: Coroutine[None, None, T]) -> T | None:
        """The work's result, or ``None`` when the run was stopped first."""
        task = asyncio.get_running_loop().create_task(work)
        stopping = asyncio.get_running_loop().create_task(self._stopping.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task})
        return None

    # After the last stage

    async def _sweep(self) -> Sweep:
        """Remove whatever of the run is left, in every runtime it used."""
        sweep = Sweep()
        names = dict.fromkeys(target.runtime for target in self.plan.targets)
        for name in names:
            await self._reap(self._equipment.runtimes[name], sweep)
        held = self._equipment.holdings.of_run(self.plan.run_id)
        await asyncio.gather(*(self._remove_again(holding, sweep) for holding in held))
        return sweep

    async def _remove_again(self, holding: Holding, sweep: Sweep) -> None:
        """What survived its removal and was not swept may be gone by now, or be unknown to
        its engine and live on: only the instance itself can tell."""
        if holding.id not in sweep.removed:
            if (await self._equipment.trials.remove(holding)).error:
                sweep.leaked = [*dict.fromkeys((*sweep.leaked, holding.id))]
                return
            sweep.leaked = [name for name in sweep.leaked if name != holding.id]
            sweep.removed.append(holding.id)
        holding.state = "stopping"
        self._equipment.trials.settled(holding)

    async def _reap(self, runtime: Runtime, sweep: Sweep) -> None:
        scope = Scope(self._equipment.agent_id, self.plan.run_id)
        try:
            async with asyncio.timeout(REAP_SECONDS):
                sweep.removed.extend(await runtime.reap(scope))
        except InstanceLeaked as leak:
            sweep.leaked.extend(leaked_ids(leak))
        except Exception as error:  # noqa: BLE001 (nor may an engine in trouble prevent it)
            _log.exception("verifying that nothing survived failed", runtime=runtime.name)
            self._problems.append(
                Problem(
                    ProblemKind.LEAKED,
                    f"{runtime.name} could not be asked whether anything survived: {error}",
                    remedy="Run: tonnage clean.",
                )
            )

    def _finished(self, sweep: Sweep) -> RunFinished:
        problem = self._problem(sweep)
        return RunFinished(self._state(problem), problem, tuple(sweep.removed), tuple(sweep.leaked))

    def _problem(self, sweep: Sweep) -> Problem | None:
        if self._problems:
            return self._problems[0]
        if self._stop is not None and self._stop.reason is not StopReason.CANCELLED:
            return Problem(ProblemKind.GUARD, self._stop.message)
        if sweep.leaked:
            return Problem(
                ProblemKind.LEAKED,
                f"{len(sweep.leaked)} instances survived their removal",
                value=", ".join(sweep.leaked),
                remedy="Run: tonnage clean.",
            )
        return None

    def _state(self, problem: Problem | None) -> RunState:
        if self._stop is not None and self._stop.reason is StopReason.CANCELLED:
            return RunState.CANCELLED
        if problem is None or problem.kind is ProblemKind.LEAKED:
            return RunState.FINISHED  # its work is done; what leaked is named beside
        return RunState.PARTIAL if self._ready_trials else RunState.FAILED


def leaked_ids(leak: InstanceLeaked) -> list[str]:
    """The ids an ``InstanceLeaked`` names as its value, else its message as the one id."""
    named = [name.strip() for name in leak.problem.value.split(",") if name.strip()]
    return named or [str(leak)]


def _internal(error: Exception) -> Problem:
    return Problem(
        ProblemKind.INTERNAL,
        f"defect of the agent: {type(error).__name__}: {error}",
        remedy="The agent's log has the details.",
    )
