"""Whether everything that agents recorded is in the store: once each, and nothing beside."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agent.storage.records import payloads
from deploy.postgres import query
from tonnage.model import Event, Outcome, Trial, TrialEnd
from tonnage.wire import from_bytes

_TABLES = ("trial", "trial_end", "fact")


@dataclass(frozen=True, slots=True)
class Proof:
    """What is wrong with one host's part of a run; all zero when nothing is.

    ``lost``: events on the agent's disk that the store lacks, or holds otherwise.
    ``doubled``: rows beyond one for each event, and trials made twice under one attempt.
    ``repeated``: attempts that followed one which had come to its end.
    ``unmade``: planned starts without an outcome of their own.
    ``trials``, ``ready``: rows of trials, and trials that became ready, for the record.
    """

    lost: int
    doubled: int
    repeated: int
    unmade: int
    trials: int
    ready: int

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.repeated or self.unmade)


def prove(store: Path | str, spool: Path, run: tuple[str, str], planned: int) -> Proof:
    """Compare the agent's spool of a run that has ended with the store's rows.

    ``store`` is SQLite's file or PostgreSQL's address; ``run`` is its id and the host's
    name; ``planned`` is the number of trials that the plan is known to make.
    """
    events = _spooled(spool)
    stored = _stored(store, *run)
    kinds = {event.sequence: _table(event) for event in events}
    trials = [event.payload for event in events if isinstance(event.payload, Trial)]
    ends = [event.payload for event in events if isinstance(event.payload, TrialEnd)]
    made = {trial.trial_id for trial in trials if trial.outcome is not Outcome.INTERRUPTED}
    tried = Counter((trial.trial_id, trial.attempt) for trial in trials)
    return Proof(
        lost=sum(stored.get(sequence) != [table] for sequence, table in kinds.items()),
        doubled=sum(len(tables) - 1 for tables in stored.values())
        + len(stored.keys() - kinds.keys())
        + sum(tried.values())
        - len(tried),
        repeated=_repeated(trials, ends),
        unmade=max(planned - len(made), 0),
        trials=len(trials),
        ready=len({trial.trial_id for trial in trials if trial.outcome is Outcome.READY}),
    )


def _spooled(path: Path) -> list[Event]:
    return [from_bytes(record, Event) for record in payloads(path.read_bytes())]


def _stored(store: Path | str, run_id: str, host: str) -> dict[int, list[str]]:
    """The tables that hold a row of each sequence."""
    found: dict[int, list[str]] = {}
    for table in _TABLES:
        statement = (
            f"SELECT sequence FROM {table} JOIN host_run ON host_run.id = host_run_id"  # noqa: S608 - own names
            f" WHERE run_id = '{run_id}' AND host = '{host}'"
        )
        for sequence in _sequences(store, statement):
            found.setdefault(sequence, []).append(table)
    return found


def _sequences(store: Path | str, statement: str) -> list[int]:
    """What a statement finds, whichever engine: beside the collector, not through it."""
    if isinstance(store, str):
        return [int(line) for line in query(store, statement).splitlines()]
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        return [sequence for (sequence,) in connection.execute(statement)]


def _table(event: Event) -> str:
    if isinstance(event.payload, Trial):
        return "trial"
    return "trial_end" if isinstance(event.payload, TrialEnd) else "fact"


def _repeated(trials: list[Trial], ends: list[TrialEnd]) -> int:
    cut = {(t.trial_id, t.attempt) for t in trials if t.outcome is Outcome.INTERRUPTED}
    cut |= {(end.trial_id, end.attempt) for end in ends if end.interrupted}
    return sum(t.attempt > 1 and (t.trial_id, t.attempt - 1) not in cut for t in trials)
