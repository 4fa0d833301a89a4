"""Makes the images of a plan ready, outside every timed window."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agent.errors import RuntimeUnavailable, TonnageError
from agent.runner.equipment import Equipment
from agent.runner.past import Past
from agent.runtimes.base import Prepared
from tonnage.model import Notice, Plan, RuntimeState, Target

# Unpacking a large image archive, or pulling one when the plan allows it.
PREPARE_SECONDS = 900.0
# After a reboot the agent may be there before the engine.
ENGINE_SECONDS = 300.0
_LOOK_AGAIN_SECONDS = 2.0


async def engines_back(plan: Plan, equipment: Equipment) -> None:
    """Wait until every runtime of the plan is healthy. Raises ``RuntimeUnavailable``."""
    names = {target.runtime for target in plan.targets}
    for name in names - set(equipment.runtimes):
        raise RuntimeUnavailable(
            "the agent no longer offers a runtime of the run it was to go on with",
            field="runtimes",
            value=name,
            remedy="Start the agent with it in --runtimes.",
        )
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ENGINE_SECONDS
    while True:
        found = await equipment.inventory.recheck(names)
        sick = [name for name in names if found[name].state is not RuntimeState.HEALTHY]
        if not sick:
            return
        if loop.time() >= deadline:
            raise RuntimeUnavailable(
                f"the runtime did not come back within {ENGINE_SECONDS:g} s:"
                f" {found[sick[0]].reason}",
                field="runtime",
                value=sick[0],
                remedy="Mend it and run what is missing again.",
            )
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def prepare(plan: Plan, equipment: Equipment) -> dict[str, Prepared]:
    """Every target's image, by target; each image once. Raises ``TonnageError``."""
    made: dict[tuple[str, str], Prepared] = {}
    for target in plan.targets:
        key = (target.runtime, repr(target.workload))
        if key not in made:
            made[key] = await _prepare_one(target, equipment)
    return {t.id: made[t.runtime, repr(t.workload)] for t in plan.targets}


async def _prepare_one(target: Target, equipment: Equipment) -> Prepared:
    try:
        async with asyncio.timeout(PREPARE_SECONDS):
            return await equipment.runtimes[target.runtime].prepare(target.workload)
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


def changed_images(past: Past, prepared: dict[str, Prepared]) -> list[Notice]:
    """What a reader must know where a run goes on with another image than it began with."""
    return [
        Notice(
            f"the image of {target_id} changed while the run was interrupted:"
            f" trials before have {before}, those from here on {prepared[target_id].digest}"
        )
        for target_id, before in past.digests.items()
        if target_id in prepared and prepared[target_id].digest != before
    ]
