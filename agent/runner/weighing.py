"""Measures a population of instances: who lives, who answers, and what they weigh."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from agent.probes.group import GroupMemory
from agent.runner.holdings import Holding
from agent.runner.observer import Census, Observer
from agent.runner.work import Work
from agent.runtimes.base import Instance, Runtime
from tonnage.model import Sample, Target

_CHECKS_IN_FLIGHT = 64
_CHECK_SECONDS = 15.0

_log = structlog.get_logger("agent.runner.weighing")


async def weigh(
    instances: Sequence[Instance],
    runtime: Runtime,
    base_paths: Sequence[Path],
    observer: Observer,
    group: GroupMemory | None = None,
) -> Sample:
    """Ask every instance whether it lives and answers, then read host and instances, and
    the group that they live below.

    The readings come after the checks, in a thread: they take milliseconds.
    """
    alive = await _count(instance.alive() for instance in instances)
    answering = await _count(instance.answers() for instance in instances)

    def read() -> Sample:
        return observer.sample(
            Census(
                views=[instance.processes() for instance in instances],
                base_paths=base_paths,
                engine_pids=runtime.engine_pids(),
                alive=alive,
                answering=answering,
                group=group,
            )
        )

    return await asyncio.to_thread(read)


async def weigh_all(
    held: Sequence[Holding | None], work: Work, target: Target, group: GroupMemory | None = None
) -> Sample:
    """Weigh what should live; ``None`` is one that was lost, and counts as not alive."""
    there = [holding.instance for holding in held if holding is not None]
    sample = await weigh(
        [instance for instance in there if instance is not None],
        work.equipment.runtimes[target.runtime],
        work.prepared_for(target).paths_for(target),
        work.equipment.observer,
        group,
    )
    sample = replace(sample, instances=len(held))
    work.equipment.metrics.sample(target, work.accelerator(target), sample)
    return sample


async def _count(checks: Iterable[Awaitable[bool]]) -> int:
    """How many are true, with a bound on those in flight."""
    room = asyncio.Semaphore(_CHECKS_IN_FLIGHT)
    return sum(await asyncio.gather(*(_check(check, room) for check in checks)))


async def _check(check: Awaitable[bool], room: asyncio.Semaphore) -> bool:
    async with room:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                return await check
        except Exception as error:  # noqa: BLE001 (who cannot be asked does not answer)
            _log.warning("a health check failed", reason=str(error))
            return False
