"""The templates of a run: instances started once and saved, for its targets to be restored from.

Made while the run prepares, outside every timed window, and removed at its end. A
template belongs to the run like any instance, so what an agent that was killed has
left of one is found and removed at its next start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from agent import guards
from agent.errors import InvalidInput, TonnageError
from agent.runner.equipment import Equipment
from agent.runtimes.base import Prepared, Scope, Snapshottable, Template
from tonnage.model import Mode, Plan, Snapshot, Target

_log = structlog.get_logger("agent.runner.templates")


@dataclass(frozen=True, slots=True)
class _Made:
    runtime: str
    template: Template


class Templates:
    """Makes, holds and removes the templates of one run."""

    def __init__(self, plan: Plan, equipment: Equipment) -> None:
        self._plan = plan
        self._equipment = equipment
        self._made: dict[str, _Made] = {}

    async def make(self, prepared: Mapping[str, Prepared]) -> dict[str, Prepared]:
        """What launches take, by target: for those that are restored, a template of their own.

        Raises ``TonnageError``; what was made by then is removed by ``remove``.
        """
        found = dict(prepared)
        for target in self._plan.targets:
            if target.mode is Mode.RESTORE:
                template = await self._make(target, prepared[target.id])
                self._made[target.id] = _Made(target.runtime, template)
                found[target.id] = template.prepared
        return found

    async def _make(self, target: Target, prepared: Prepared) -> Template:
        runtime = self._equipment.runtimes[target.runtime]
        if not isinstance(runtime, Snapshottable):
            raise InvalidInput(
                f"{target.runtime} restores nothing from snapshots",
                field=f"targets[{target.id}].mode",
                value=target.mode.value,
            )
        scope = Scope(self._equipment.agent_id, self._plan.run_id)
        self._require_room()
        try:
            return await runtime.snapshot(target, prepared, scope)
        except TonnageError as error:
            where = error.problem.field or "mode"
            error.problem = replace(error.problem, field=f"targets[{target.id}].{where}")
            raise

    def _require_room(self) -> None:
        """A template is a VM like any other to the host. Raises ``GuardTripped``."""
        trip = guards.check(self._equipment.limits, self._equipment.state(0.0))
        if trip is not None:
            raise trip

    def told(self) -> Sequence[Snapshot]:
        """What was made, as facts of the run."""
        variants = {target.id: target.variant for target in self._plan.targets}
        return [
            Snapshot(
                target_id, variants[target_id], made.template.seconds, made.template.state_bytes
            )
            for target_id, made in self._made.items()
        ]

    async def remove(self) -> None:
        """Remove them all. What resists is left to the sweep at the run's end, which tells."""
        while self._made:
            target_id, made = self._made.popitem()
            try:
                found = await self._equipment.runtimes[made.runtime].recover(
                    made.template.instance_id
                )
                if found is not None:
                    await found.destroy()
            except TonnageError as error:
                _log.warning("a template was not removed", target=target_id, why=str(error))
