"""The memory group of a ramp under a hard limit: made before its first launch, gone after
its last instance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from agent import memory_group
from agent.memory_group import MemoryGroup
from agent.probes.group import GroupMemory
from agent.runner.equipment import Equipment
from agent.runtimes.base import ParentGroup
from tonnage.model import DensityStage, Stage

_log = structlog.get_logger("agent.runner.confining")


@dataclass(frozen=True, slots=True)
class Confinement:
    """A group, and what reads it."""

    group: MemoryGroup
    memory: GroupMemory

    @property
    def parent(self) -> ParentGroup:
        """What a launch is told of it."""
        return ParentGroup(self.group.path, self.group.folder)

    async def lift(self) -> str:
        """Remove the group, once nothing of it lives; what stays, in a sentence, if anything."""
        left = await asyncio.to_thread(self.group.remove)
        if not left:
            return ""
        told = ", ".join(str(folder) for folder in left)
        _log.error("a memory group stays", folders=told)
        return f"the memory group of the ramp could not be removed yet: {told}"


async def confine(stage: Stage, equipment: Equipment) -> Confinement | None:
    """Make the group that a stage asks for, if it does. Raises ``RuntimeUnavailable``."""
    work = stage.experiment
    if not isinstance(work, DensityStage) or work.memory_limit_bytes is None:
        return None
    limit = work.memory_limit_bytes
    group = await asyncio.to_thread(memory_group.make, equipment.agent_id, limit)
    return Confinement(group, equipment.observer.group(group.folder))


async def clear_groups(agent_id: str) -> bool:
    """Remove the groups of this agent that outlived a stage or a crash; whether all are gone.
    Never while a stage is at work."""
    left = await asyncio.to_thread(memory_group.remove_leftovers, agent_id)
    if left:
        _log.error("memory groups stay", folders=[str(folder) for folder in left])
    return not left
