"""Removes whatever of a run is left when it ends, and verifies it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from agent.errors import InstanceLeaked
from agent.runner.equipment import Equipment
from agent.runner.holdings import Holding
from agent.runtimes.base import Runtime, Scope
from tonnage.model import Plan, Problem, ProblemKind

REAP_SECONDS = 120.0

_log = structlog.get_logger("agent.runner.sweeping")


@dataclass(slots=True)
class Sweep:
    """What was still there at the end of a run, what survived even that, what could not be
    asked."""

    removed: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


async def sweep(plan: Plan, equipment: Equipment) -> Sweep:
    """Remove whatever of the run is left, in every runtime it used.

    A run of which something survived, or may have, is among the ``unswept`` afterwards.
    """
    found = Sweep()
    names = dict.fromkeys(target.runtime for target in plan.targets)
    for name in names:
        if name in equipment.runtimes:
            await _reap(equipment.runtimes[name], Scope(equipment.agent_id, plan.run_id), found)
    held = equipment.holdings.of_run(plan.run_id)
    await asyncio.gather(*(_remove_again(holding, equipment, found) for holding in held))
    if found.leaked or found.problems:
        equipment.unswept[plan.run_id] = plan
    else:
        equipment.unswept.pop(plan.run_id, None)
    return found


async def remove_orphan(holding: Holding, equipment: Equipment) -> bool:
    """Try once more to remove what survived; whether nothing of it is left."""
    if not await _gone(holding, equipment):
        return False
    holding.state = "stopping"
    equipment.trials.settled(holding)
    return True


async def _reap(runtime: Runtime, scope: Scope, found: Sweep) -> None:
    try:
        async with asyncio.timeout(REAP_SECONDS):
            found.removed.extend(await runtime.reap(scope))
    except InstanceLeaked as leak:
        found.leaked.extend(leaked_ids(leak))
    except Exception as error:  # noqa: BLE001 (nor may an engine in trouble prevent it)
        _log.warning("cannot verify that nothing survived", runtime=runtime.name, why=str(error))
        found.problems.append(
            Problem(
                ProblemKind.LEAKED,
                f"{runtime.name} could not be asked whether anything survived: {error}",
                remedy="Run: tonnage clean.",
            )
        )


async def _remove_again(holding: Holding, equipment: Equipment, found: Sweep) -> None:
    """What survived its removal and was not swept may be gone by now, or be unknown to
    its engine and live on: only the instance itself can tell."""
    if holding.id not in found.removed:
        if not await remove_orphan(holding, equipment):
            found.leaked = [*dict.fromkeys((*found.leaked, holding.id))]
            return
        found.leaked = [name for name in found.leaked if name != holding.id]
        found.removed.append(holding.id)
    holding.state = "stopping"
    equipment.trials.settled(holding)


async def _gone(holding: Holding, equipment: Equipment) -> bool:
    runtime = equipment.runtimes.get(holding.entry.runtime)
    if holding.instance is None and runtime is not None:  # of an earlier life of the agent
        try:
            async with asyncio.timeout(REAP_SECONDS):
                holding.instance = await runtime.recover(holding.id)
        except Exception as error:  # noqa: BLE001 (who cannot be asked may live)
            _log.error("an instance cannot be looked for", instance=holding.id, reason=str(error))
            return False
    return not (await equipment.trials.remove(holding)).error


def leaked_ids(leak: InstanceLeaked) -> list[str]:
    """The ids an ``InstanceLeaked`` names as its value, else its message as the one id."""
    named = [name.strip() for name in leak.problem.value.split(",") if name.strip()]
    return named or [str(leak)]
