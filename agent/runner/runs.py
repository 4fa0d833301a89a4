"""Which run holds the agent: one at a time, each started once, and gone on with until its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import structlog

from agent.errors import AgentStopping, RunActive, RunEnded
from agent.runner.admission import admit
from agent.runner.equipment import Equipment
from agent.runner.past import Past
from agent.runner.run import PlanRun, Released
from agent.storage.runlog import RunLog
from tonnage.model import Plan, RunReleased

STOPPED = "everything on this host was stopped"

_log = structlog.get_logger("agent.runner.runs")


class Runs:
    """Starts, stops and knows the runs of this agent."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment
        self._queue: deque[PlanRun] = deque()  # the first is at work; more only after a crash
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._draining = False
        self._halts = 0
        self._halted = 0  # ever

    @property
    def active_run_id(self) -> str:
        """The run being worked on, empty if none."""
        return self._queue[0].plan.run_id if self._queue else ""

    def log(self, run_id: str) -> RunLog:
        """The run's events. Raises ``NoSuchRun`` or ``SpoolCorrupt``."""
        return self._equipment.spool.get(run_id)

    async def start(self, plan: Plan) -> bool:
        """Start a plan; true if the run was known before. Returns once its plan and its
        first event are on disk.

        Raises ``InvalidInput`` or ``RuntimeUnavailable`` when the plan cannot be
        executed here, ``RunActive`` while another run is, ``SpoolError`` when its
        events could not be kept. Nothing was started then. A caller that goes away
        leaves no run half begun.
        """
        beginning = asyncio.get_running_loop().create_task(self._begin(plan))
        beginning.add_done_callback(_told)
        log = await asyncio.shield(beginning)
        if log is None:
            return True
        await log.flushed()
        return False

    async def _begin(self, plan: Plan) -> RunLog | None:
        """Add the run, its plan on disk; ``None`` if it was known before."""
        equipment = self._equipment
        async with self._starting:
            if equipment.spool.knows(plan.run_id):
                return None
            self._require_free()
            found = await equipment.inventory.recheck({target.runtime for target in plan.targets})
            admit(plan, equipment.runtimes, found)
            facts = await asyncio.to_thread(equipment.facts)
            self._require_free()  # all this took its time
            halted = self._halted
            log = await equipment.spool.create(plan)
            run = PlanRun(equipment, plan, log, Past())
            run.begin(facts, found)
            if self._halted != halted:
                run.cancel(STOPPED)
            if self._draining:
                run.suspend()
            self._add(run)
        return log

    async def resume(self, unfinished: Iterable[tuple[Plan, RunLog, Past]]) -> None:
        """Go on with the runs of the agent's earlier life, one after the other."""
        for plan, log, past in unfinished:
            run = PlanRun(self._equipment, plan, log, past)
            if not past.rows:  # its plan was kept, and the agent died before it said so
                found = await self._equipment.inventory.current()
                run.begin(await asyncio.to_thread(self._equipment.facts), found)
            self._add(run)

    def _add(self, run: PlanRun) -> None:
        self._queue.append(run)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    def _require_free(self) -> None:
        if self._draining:
            raise AgentStopping("the agent is stopping", remedy="Start the run again later.")
        if self._halts:
            raise RunActive(
                "everything on this host is being stopped", remedy="Start the run afterwards."
            )
        if self._queue:
            raise RunActive(
                "another run holds this agent",
                field="run_id",
                value=self.active_run_id,
                remedy="Wait for it, or cancel it.",
            )

    async def _work(self) -> None:
        while self._queue:
            run = self._queue[0]
            _log.info("run at work", run=run.plan.run_id)
            try:
                finished = await run.execute()
                state = finished.state.value if finished is not None else "suspended"
                _log.info("run left", run=run.plan.run_id, state=state)
            finally:
                self._queue.popleft()

    async def cancel(self, run_id: str) -> bool:
        """Stop a run; true if it was active. Returns once that is on disk: an agent that
        dies then goes on cancelling. Raises ``NoSuchRun``, or ``AgentStopping`` for a run
        that is left for the agent's next life."""
        for run in self._queue:
            if run.plan.run_id == run_id:
                run.cancel("the run was cancelled")
                await self.log(run_id).book.kept()
                return True
        if run_id in self._equipment.spool.corrupt:
            return False
        if not self.log(run_id).finished and self._draining:
            raise AgentStopping("the agent is stopping", remedy="Cancel the run again later.")
        return False

    async def release(self, run_id: str, begin_in_seconds: float = 0.0) -> Released:
        """Let a run that waits for it begin, so long after this call.

        Raises ``NoSuchRun``, or ``RunEnded`` for one that ended without having begun.
        """
        for run in self._queue:
            if run.plan.run_id == run_id:
                return await run.release(begin_in_seconds)
        log = self.log(run_id)
        if not log.finished and self._draining:
            raise AgentStopping("the agent is stopping", remedy="Release the run again later.")
        events = await asyncio.to_thread(log.events)
        if any(isinstance(event.payload, RunReleased) for event in events):
            return Released(before=True, began_after_seconds=None)
        raise RunEnded(
            "the run ended before it was released",
            field="run_id",
            value=run_id,
            remedy="Its last event says why; submit it again.",
        )

    async def idle(self) -> None:
        """Wait until no run is active."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    @contextmanager
    def halt(self) -> Iterator[None]:
        """Cancel what is active, and take no run within the block."""
        self._halts += 1
        self._halted += 1
        try:
            for run in self._queue:
                run.cancel(STOPPED)
            yield
        finally:
            self._halts -= 1

    async def suspend(self, within_seconds: float) -> None:
        """Leave the active run as it stands, for the agent's next life; start none again.

        What is not removed within the time is left to that life.
        """
        self._draining = True
        for run in self._queue:
            run.suspend()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                async with self._starting:  # one that is being begun is left, too
                    pass
                await self.idle()
        for log in self._equipment.spool.runs:
            if not log.finished:
                log.leave()


def _told(beginning: asyncio.Task[RunLog | None]) -> None:
    """Take note of a refusal that nobody waits for any more."""
    if not beginning.cancelled():
        beginning.exception()
