"""How a machine that was cut short goes on: by hearing its history again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.experiments.base import (
    Destroy,
    Destroyed,
    Experiment,
    ExperimentEvent,
    Instruction,
    Launch,
    Record,
    TrialDone,
)


def replay(
    machine: Experiment, history: Iterable[ExperimentEvent], records_stored: int
) -> list[Instruction]:
    """Start a fresh machine, tell it what had happened, and return what is left to do.

    For startup, whose trials do not depend on each other. ``history`` is what was
    answered before, in stored order; an attempt that was ``interrupted`` is not
    an answer, so its launch comes back, for a next attempt. ``records_stored``
    is how many of the stage's records are stored already. An instance without a
    stored end is asked to be destroyed again, which is idempotent.
    """
    events = list(history)
    issued = machine.start()
    for event in events:
        issued += machine.handle(event)
    outcomes = {event.trial.trial_id for event in events if isinstance(event, TrialDone)}
    ends = {event.trial_id for event in events if isinstance(event, Destroyed)}
    return list(_left(issued, outcomes, ends, records_stored))


def _left(
    issued: list[Instruction], answered: set[str], ends: set[str], records_stored: int
) -> Iterator[Instruction]:
    records = 0
    for instruction in issued:
        match instruction:
            case Launch(trial_id=trial_id) if trial_id in answered:
                continue
            case Destroy(trial_ids):
                if left := tuple(trial_id for trial_id in trial_ids if trial_id not in ends):
                    yield Destroy(left)
            case Record() if (records := records + 1) <= records_stored:
                continue
            case _:
                yield instruction
