"""Which run holds the agent: one at a time, each started once."""

from __future__ import annotations

import asyncio

import structlog

from agent.errors import RunActive
from agent.runner.admission import admit
from agent.runner.equipment import Equipment
from agent.runner.run import PlanRun
from agent.storage.runlog import RunLog
from tonnage.model import Plan

_log = structlog.get_logger("agent.runner.runs")


class Runs:
    """Starts, stops and knows the runs of this agent."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment
        self._active: PlanRun | None = None
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._draining = False

    @property
    def active_run_id(self) -> str:
        """The run being worked on, empty if none."""
        return self._active.plan.run_id if self._active is not None else ""

    def log(self, run_id: str) -> RunLog:
        """The run's events. Raises ``NoSuchRun`` or ``SpoolCorrupt``."""
        return self._equipment.spool.get(run_id)

    async def start(self, plan: Plan) -> bool:
        """Start a plan; true if the run was known before. Returns once its first event is
        on disk.

        Raises ``InvalidInput`` or ``RuntimeUnavailable`` when the plan cannot be
        executed here, ``RunActive`` while another run is, ``SpoolError`` when its
        events could not be kept. Nothing was started then.
        """
        async with self._starting:
            if self._equipment.spool.knows(plan.run_id):
                return True
            self._require_free()
            found = await self._equipment.inventory.recheck(
                {target.runtime for target in plan.targets}
            )
            admit(plan, self._equipment.runtimes, found)
            facts = await asyncio.to_thread(self._equipment.facts)
            log = await self._equipment.spool.create(plan.run_id)
            run = PlanRun(self._equipment, plan, log)
            run.begin(facts, found)
            self._active = run
            self._task = asyncio.get_running_loop().create_task(self._execute(run))
        await log.flushed()
        return False

    def _require_free(self) -> None:
        if self._draining:
            raise RunActive("the agent is stopping", remedy="Start it again first.")
        if self._active is not None:
            raise RunActive(
                "another run holds this agent",
                field="run_id",
                value=self.active_run_id,
                remedy="Wait for it, or cancel it.",
            )

    async def _execute(self, run: PlanRun) -> None:
        _log.info("run started", run=run.plan.run_id)
        try:
            finished = await run.execute()
            _log.info("run ended", run=run.plan.run_id, state=finished.state.value)
        finally:
            self._active = None

    def cancel(self, run_id: str) -> bool:
        """Stop a run; true if it was active. Raises ``NoSuchRun``."""
        if run_id == self.active_run_id and self._active is not None:
            self._active.cancel("the run was cancelled")
            return True
        if run_id not in self._equipment.spool.corrupt:
            self._equipment.spool.get(run_id)
        return False

    async def drain(self) -> None:
        """Cancel the active run, wait for its last event, and start none again."""
        self._draining = True
        if self._active is not None:
            self._active.cancel("the agent was asked to stop")
        if self._task is not None:
            await asyncio.wait([self._task])
