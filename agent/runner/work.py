"""What the stages of one run share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.runner.caches import Caches
from agent.runner.equipment import Equipment
from agent.runner.past import Past
from agent.runtimes.base import Prepared
from agent.storage.runlog import RunLog
from tonnage.model import Accelerator, Plan, Target


@dataclass(frozen=True, slots=True)
class Work:
    """One run at work. ``prepared``: by target; ``used_seconds``: of its time limit."""

    equipment: Equipment
    plan: Plan
    log: RunLog
    past: Past
    prepared: Mapping[str, Prepared]
    used_seconds: Callable[[], float]
    caches: Caches

    def watch_engines(self) -> None:
        """Take the daemons of every engine the plan uses for no foreign load: they may have
        been started anew."""
        names = {target.runtime for target in self.plan.targets}
        runtimes = self.equipment.runtimes
        pids = {pid for name in names for pid in runtimes[name].engine_pids()}
        self.equipment.observer.engines(pids)

    def target(self, target_id: str) -> Target:
        """The plan's target of that id."""
        return next(target for target in self.plan.targets if target.id == target_id)

    def prepared_for(self, target: Target) -> Prepared:
        """Its image; an empty word where preparing was cut short, as nothing is launched then."""
        return self.prepared.get(target.id) or Prepared(target.workload, "")

    def accelerator(self, target: Target) -> Accelerator:
        """What executes its instances."""
        return self.equipment.inventory.found[target.runtime].accelerator
