"""Destroying many instances, whatever becomes of one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent.errors import TonnageError, all_leaked
from agent.runtimes.base import Instance


async def destroy_all(instances: Sequence[Instance], at_once: int = 1) -> list[str]:
    """Destroy them, no more than so many at a time; returns their ids.

    Raises ``InstanceLeaked``, which names the ids of all that could not be destroyed,
    after trying all.
    """
    turns = asyncio.Semaphore(at_once)
    failures: dict[str, TonnageError] = {}

    async def destroy(instance: Instance) -> None:
        async with turns:
            try:
                await instance.destroy()
            except TonnageError as failure:
                failures[instance.id] = failure

    results = await asyncio.gather(*map(destroy, instances), return_exceptions=True)
    for defect in filter(None, results):
        raise defect
    if failures:
        raise all_leaked(failures)
    return [instance.id for instance in instances]
