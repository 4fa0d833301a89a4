"""After a crash, a stop or a reboot: the agent's own instances go, and its runs go on.

Whatever the agent launched and did not remove is removed first; nothing of
another agent is touched. A run that was cut short then gets the rows that were
not written: ``interrupted`` for each trial that was in flight, an end for each
instance that is gone. What it has still to do, its plan and these rows tell
(``agent.runner.run``). A run that does not come further, however often it is
resumed, ends ``partial``.

Each step looks at what is on disk before it writes, so that an agent which dies
within its recovery recovers again, and nothing is written twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import structlog

from agent.errors import InstanceLeaked, SpoolError
from agent.runner.confining import clear_groups
from agent.runner.equipment import Equipment
from agent.runner.holdings import Holding
from agent.runner.past import Past, missing_rows
from agent.runner.sweeping import REAP_SECONDS, leaked_ids
from agent.runtimes.base import Runtime, Scope
from agent.storage.journal import Entry
from agent.storage.runbook import RunBook
from agent.storage.runlog import RunLog
from tonnage.model import (
    Payload,
    Plan,
    Problem,
    ProblemKind,
    RunFinished,
    RunResumed,
    RunState,
    StageFinished,
    Trial,
)
from tonnage.wire import WireError

# A run that takes its agent down at the same place is not tried for ever.
MOST_INTERRUPTIONS = 5

_log = structlog.get_logger("agent.recovery")

NO_PLAN = Problem(
    ProblemKind.UNAVAILABLE,
    "the agent died during the run, and holds no plan to go on with",
    remedy="Run the experiment again for what is missing.",
)
NO_PROGRESS = Problem(
    ProblemKind.UNAVAILABLE,
    f"the run was interrupted {MOST_INTERRUPTIONS} times in a row without one further"
    " trial, and is given up",
    remedy="The agent's log, and the host's, may say what ends it.",
)

Unfinished = tuple[Plan, RunLog, Past]


@dataclass(slots=True)
class Reaped:
    """What was found of an earlier life. ``unasked``: runtimes that did not answer."""

    removed: set[str] = field(default_factory=set)
    leaked: set[str] = field(default_factory=set)
    unasked: set[str] = field(default_factory=set)


async def recover(equipment: Equipment, executor: Executor) -> list[Unfinished]:
    """Bring the agent back to order before it serves; the runs to go on with. Idempotent."""
    reaped = Reaped()
    for runtime in equipment.runtimes.values():
        await _reap(equipment.agent_id, runtime, reaped)
    for entry in equipment.journal.open:
        await _verify_gone(equipment, entry, reaped)
    await clear_groups(equipment.agent_id)
    cut_short = [log for log in equipment.spool.runs if not log.finished]
    found = [await _taken_up(log, equipment, reaped, executor) for log in cut_short]
    elsewhere = _elsewhere(equipment, cut_short)
    _hold_survivors(equipment, elsewhere, reaped)
    _close(equipment, elsewhere)
    if reaped.removed:
        _log.warning("removed instances of an earlier life", instances=sorted(reaped.removed))
    return [unfinished for unfinished in found if unfinished is not None]


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
    """Entries whose rows, if any, are written already, or have no log that could take them."""
    open_runs = {log.run_id for log in cut_short} - set(equipment.spool.corrupt)
    return [entry for entry in equipment.journal.open if entry.run_id not in open_runs]


async def _taken_up(
    log: RunLog, equipment: Equipment, reaped: Reaped, executor: Executor
) -> Unfinished | None:
    """The run to go on with, if it is; one that cannot be read must not keep the agent down."""
    try:
        events = await asyncio.get_running_loop().run_in_executor(executor, log.events)
    except (SpoolError, WireError) as error:
        equipment.spool.give_up(log, error)
        return None
    return _mend(log, [event.payload for event in events], equipment, reaped)


def _mend(
    log: RunLog, rows: Sequence[Payload], equipment: Equipment, reaped: Reaped
) -> Unfinished | None:
    """Write the rows that the crash prevented; the run to go on with, unless it is given up."""
    ours = [entry for entry in equipment.journal.open if entry.run_id == log.run_id]
    fates = {(e.trial.trial_id, e.trial.attempt): _fate(e, reaped) for e in ours}

    def fate(trial: Trial) -> str:
        return fates.get((trial.trial_id, trial.attempt), _REMOVED)

    missing = missing_rows(rows, (entry.trial for entry in ours), fate)
    past, plan = Past([*rows, *missing]), log.book.plan
    unfit = NO_PLAN if plan is None else _given_up(past)
    last = _ends(past, ours, unfit, reaped) if unfit else _resumed(past, log.book, equipment)
    _hold_survivors(equipment, ours, reaped)
    for row in (*missing, *last):
        log.record(row)
    _when_durable(log, lambda: _close(equipment, ours))
    _log.warning("a run was cut short", run=log.run_id, in_flight=len(ours), goes_on=not unfit)
    return None if unfit or plan is None else (plan, log, Past([*past.rows, *last]))


_REMOVED = "the agent ended; whatever was left of the instance was removed at its next start"


def _fate(entry: Entry, reaped: Reaped) -> str:
    if entry.instance_id in reaped.leaked:
        return "the agent ended; the instance survived its removal"
    if entry.runtime in reaped.unasked:
        return f"the agent ended; {entry.runtime} could not be asked whether the instance is gone"
    return _REMOVED


def _given_up(past: Past) -> Problem | None:
    """Why the run is not gone on with, if so; one that waits for its release has nothing to
    come further with."""
    waits = past.prepared and not past.released
    interruptions = past.fruitless_resumptions() + 1
    return NO_PROGRESS if interruptions >= MOST_INTERRUPTIONS and not waits else None


def _ends(past: Past, ours: Sequence[Entry], why: Problem, reaped: Reaped) -> list[Payload]:
    """The ends of the stage it was in, and of the run."""
    ids = {entry.instance_id for entry in ours}
    stages = [StageFinished(stage_id, why) for stage_id in past.open_stages()]
    removed, leaked = (tuple(sorted(found & ids)) for found in (reaped.removed, reaped.leaked))
    return [*stages, RunFinished(RunState.PARTIAL, why, removed=removed, leaked=leaked)]


def _resumed(past: Past, book: RunBook, equipment: Equipment) -> list[Payload]:
    """The event that says so; none for a run of which nothing was ever recorded."""
    if not past.rows:
        return []
    rebooted = book.boot_id not in ("", equipment.clock.boot_id)
    if rebooted:
        reason = "the host was rebooted"
    elif book.suspended:
        reason = "the agent was stopped and started again"
    else:
        reason = "the agent died and was started again"
    return [RunResumed(past.resumed + 1, rebooted, reason)]


def _when_durable(log: RunLog, call: Callable[[], None]) -> None:
    """Call once everything recorded so far is on disk: not before are entries closed."""
    if log.pending:
        log.call_when_durable(call)
    else:
        call()


def _survived(entry: Entry, reaped: Reaped) -> bool:
    return entry.instance_id in reaped.leaked or entry.runtime in reaped.unasked


def _hold_survivors(equipment: Equipment, entries: Iterable[Entry], reaped: Reaped) -> None:
    """Hold what is not gone, so that it can be listed and cleaned."""
    for entry in entries:
        if _survived(entry, reaped):
            equipment.holdings.add(Holding(entry, state="orphaned"))


def _close(equipment: Equipment, entries: Iterable[Entry]) -> None:
    """Close what is gone."""
    for entry in entries:
        if equipment.holdings.get(entry.instance_id) is None:
            equipment.journal.closed(entry.instance_id)
    equipment.journal.compact()
