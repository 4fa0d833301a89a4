"""Removes what survived its removal once that can be done: an engine may come back."""

from __future__ import annotations

import asyncio

import structlog

from agent.runner.confining import clear_groups
from agent.runner.equipment import Equipment
from agent.runner.runs import Runs
from agent.runner.sweeping import remove_orphan, sweep

FIRST_PAUSE_SECONDS = 3.0
LONGEST_PAUSE_SECONDS = 300.0

_log = structlog.get_logger("agent.runner.janitor")


async def keep_tidy(equipment: Equipment, runs: Runs) -> None:
    """Try again and again, for ever, less and less often while it is of no use.

    Never beside a run: removing containers would be felt by its trials.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        await asyncio.sleep(pause)
        if runs.active_run_id:
            continue
        removed, left = await tidy(equipment)
        if removed:
            _log.info("removed what had survived", instances=removed)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS) if left else FIRST_PAUSE_SECONDS


async def tidy(equipment: Equipment) -> tuple[list[str], bool]:
    """Try once; the instances that are gone now, and whether anything is, or may be, left."""
    removed: list[str] = []
    for plan in list(equipment.unswept.values()):
        removed += (await sweep(plan, equipment)).removed
    orphans = [holding for holding in equipment.holdings if holding.state == "orphaned"]
    for holding in orphans:
        if holding.entry.run_id not in equipment.unswept and await remove_orphan(
            holding, equipment
        ):
            removed.append(holding.id)
    groups_gone = await clear_groups(equipment.agent_id)
    left = any(holding.state == "orphaned" for holding in equipment.holdings)
    return removed, left or bool(equipment.unswept) or not groups_gone
