"""After a crash: the agent's own instances go, and its runs end with what they have.

A run that was cut short gets a row ``interrupted`` for each trial that was in
flight, and ends ``partial``. Nothing of another agent is touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import structlog

from agent.errors import InstanceLeaked
from agent.runner.equipment import Equipment
from agent.runner.holdings import Holding
from agent.runner.run import REAP_SECONDS, leaked_ids
from agent.runtimes.base import Runtime, Scope
from agent.storage.journal import Entry
from agent.storage.runlog import RunLog
from tonnage.model import (
    Event,
    Problem,
    ProblemKind,
    RunFinished,
    RunState,
    StageFinished,
    StageStarted,
    Trial,
    TrialEnd,
)

_log = structlog.get_logger("agent.recovery")

INTERRUPTED = Problem(
    ProblemKind.UNAVAILABLE,
    "the agent died during the run and was started again",
    remedy="Run the experiment again for what is missing.",
)


@dataclass(slots=True)
class Reaped:
    """What was found of an earlier life. ``unasked``: runtimes that did not answer."""

    removed: set[str] = field(default_factory=set)
    leaked: set[str] = field(default_factory=set)
    unasked: set[str] = field(default_factory=set)


async def recover(equipment: Equipment, executor: Executor) -> None:
    """Bring the agent back to order before it serves. Idempotent."""
    reaped = Reaped()
    for runtime in equipment.runtimes.values():
        await _reap(equipment.agent_id, runtime, reaped)
    for entry in equipment.journal.open:
        await _verify_gone(equipment, entry, reaped)
    cut_short = [log for log in equipment.spool.runs if not log.finished]
    for log in cut_short:
        await _end(log, equipment, reaped, executor)
    _settle(equipment, _elsewhere(equipment, cut_short), reaped)
    if reaped.removed:
        _log.warning("removed instances of an earlier life", instances=sorted(reaped.removed))


async def _reap(agent_id: str, runtime: Runtime, reaped: Reaped) -> None:
    try:
        async with asyncio.timeout(REAP_SECONDS):
            reaped.removed.update(await runtime.reap(Scope(agent_id)))
    except InstanceLeaked as leak:
        reaped.leaked.update(leaked_ids(leak))
    except Exception as error:  # noqa: BLE001 (one engine in trouble must not keep the agent down)
        _log.warning("cannot look for leftovers", runtime=runtime.name, reason=str(error))
        reaped.unasked.add(runtime.name)


async def _verify_gone(equipment: Equipment, entry: Entry, reaped: Reaped) -> None:
    """Make sure of an instance that the journal knows, whatever the reaping found."""
    runtime = equipment.runtimes.get(entry.runtime)
    if runtime is None or entry.runtime in reaped.unasked:
        reaped.unasked.add(entry.runtime)
        return
    try:
        async with asyncio.timeout(REAP_SECONDS):
            instance = await runtime.recover(entry.instance_id)
            if instance is not None:
                await instance.destroy()
                reaped.removed.add(entry.instance_id)
    except Exception as error:  # noqa: BLE001 (as above; it stays in the journal)
        _log.error("an instance survived", instance=entry.instance_id, reason=str(error))
        reaped.leaked.add(entry.instance_id)


def _elsewhere(equipment: Equipment, cut_short: Sequence[RunLog]) -> list[Entry]:
    """Entries whose rows, if any, are written already."""
    open_runs = {log.run_id for log in cut_short}
    return [entry for entry in equipment.journal.open if entry.run_id not in open_runs]


async def _end(log: RunLog, equipment: Equipment, reaped: Reaped, executor: Executor) -> None:
    """Write the rows and the end that the crash prevented."""
    events = await asyncio.get_running_loop().run_in_executor(executor, log.events)
    ours = [entry for entry in equipment.journal.open if entry.run_id == log.run_id]
    for entry in ours:
        _close_trial(log, entry, events, reaped)
    for stage_id in _open_stages(events):
        log.record(StageFinished(stage_id, INTERRUPTED))
    ids = {entry.instance_id for entry in ours}
    log.record(
        RunFinished(
            RunState.PARTIAL,
            INTERRUPTED,
            removed=tuple(sorted(reaped.removed & ids)),
            leaked=tuple(sorted(reaped.leaked & ids)),
        ),
        lambda: _settle(equipment, ours, reaped),  # not before the rows are on disk
    )
    _log.warning("a run was cut short", run=log.run_id, in_flight=len(ours))


def _close_trial(log: RunLog, entry: Entry, events: Sequence[Event], reaped: Reaped) -> None:
    trial_id = entry.trial.trial_id
    rows = [event.payload for event in events]
    if not any(isinstance(row, Trial) and row.trial_id == trial_id for row in rows):
        log.record(entry.trial)
    if not any(isinstance(row, TrialEnd) and row.trial_id == trial_id for row in rows):
        log.record(TrialEnd(trial_id, entry.trial.attempt, error=_fate(entry, reaped)))


def _fate(entry: Entry, reaped: Reaped) -> str:
    if entry.instance_id in reaped.leaked:
        return "the agent died; the instance survived its removal"
    if entry.runtime in reaped.unasked:
        return f"the agent died; {entry.runtime} could not be asked whether the instance is gone"
    return "the agent died; whatever was left of the instance was removed at its next start"


def _open_stages(events: Sequence[Event]) -> list[str]:
    begun = [e.payload.stage_id for e in events if isinstance(e.payload, StageStarted)]
    ended = {e.payload.stage_id for e in events if isinstance(e.payload, StageFinished)}
    return [stage_id for stage_id in begun if stage_id not in ended]


def _settle(equipment: Equipment, entries: Sequence[Entry], reaped: Reaped) -> None:
    """Close what is gone; hold what is not, so that it can be listed and cleaned."""
    for entry in entries:
        if entry.instance_id in reaped.leaked or entry.runtime in reaped.unasked:
            equipment.holdings.add(Holding(entry, state="orphaned"))
        else:
            equipment.journal.closed(entry.instance_id)
    equipment.journal.compact()
