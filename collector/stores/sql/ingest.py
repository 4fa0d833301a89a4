"""From events to rows: the hot path.

A message's fields go straight into a tuple in the order of ``COLUMNS``, without a
dataclass between.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Table

from collector.errors import UnstorableEvent
from collector.stores import schema
from collector.stores.sql.rows import FACTS, to_json
from tonnage import model, wire
from tonnage.v1 import model_pb2

Row = tuple[Any, ...]
_KEY = ("host_run_id", "sequence", "recorded_at_unix_ns")
_ENUMS = ("accelerator", "population", "outcome")


def _words(enum: Any, prefix: str) -> dict[int, str]:
    return {n: name.removeprefix(prefix).lower() for name, n in enum.items() if n}


_ACCELERATORS = _words(model_pb2.Accelerator, "ACCELERATOR_")
_POPULATIONS = _words(model_pb2.Population, "POPULATION_")
_OUTCOMES = _words(model_pb2.Outcome, "OUTCOME_")


def _columns(table: Table, *, nullable: bool) -> tuple[str, ...]:
    names = (c.name for c in table.columns if bool(c.nullable) is nullable)
    return tuple(name for name in names if name not in _KEY and name not in _ENUMS)


_TRIAL_OPTIONAL = _columns(schema.trial, nullable=True)
_END_OPTIONAL = _columns(schema.trial_end, nullable=True)
_TRIAL_ALWAYS = _columns(schema.trial, nullable=False)
_END_ALWAYS = _columns(schema.trial_end, nullable=False)
_trial_always, _trial_optional = attrgetter(*_TRIAL_ALWAYS), attrgetter(*_TRIAL_OPTIONAL)
_end_always, _end_optional = attrgetter(*_END_ALWAYS), attrgetter(*_END_OPTIONAL)

# The columns in the order of the rows below, whatever their order in the table.
COLUMNS = {
    schema.trial: (*_KEY, *_TRIAL_ALWAYS, *_ENUMS, *_TRIAL_OPTIONAL),
    schema.trial_end: (*_KEY, *_END_ALWAYS, *_END_OPTIONAL),
    schema.fact: (*_KEY, "kind", "body_json"),
}


def trial_row(host_run_id: int, event: model_pb2.Event) -> Row:
    """The row of a ``trial`` event."""
    trial = event.trial
    optional = _trial_optional(trial)
    if not all(optional):
        optional = _absent_as_none(trial, _TRIAL_OPTIONAL, optional)
    return (
        host_run_id,
        event.sequence,
        event.recorded_at_unix_ns,
        *_trial_always(trial),
        _ACCELERATORS[trial.accelerator],
        _POPULATIONS[trial.population],
        _OUTCOMES[trial.outcome],
        *optional,
    )


def end_row(host_run_id: int, event: model_pb2.Event) -> Row:
    """The row of a ``trial_end`` event."""
    end = event.trial_end
    optional = _end_optional(end)
    if not all(optional):
        optional = _absent_as_none(end, _END_OPTIONAL, optional)
    return (
        host_run_id,
        event.sequence,
        event.recorded_at_unix_ns,
        *_end_always(end),
        *optional,
    )


def fact_row(host_run_id: int, event: model_pb2.Event, kind: str) -> Row:
    """The row of any other event; its body is checked by reading it once."""
    message = getattr(event, kind)
    wire.from_message(message, FACTS[kind])
    return (host_run_id, event.sequence, event.recorded_at_unix_ns, kind, to_json(message))


def _absent_as_none(message: Any, names: Sequence[str], values: Row) -> Row:
    """Only a falsy value may be an absent one, so only those are asked about."""
    has = message.HasField
    return tuple([v or (v if has(n) else None) for n, v in zip(names, values, strict=True)])


class Rows:
    """The rows of one batch, by table."""

    __slots__ = ("ends", "facts", "finished", "host_run_id", "last", "trials")

    def __init__(
        self,
        host_run_id: int,
        events: Sequence[model_pb2.Event],
        targets: Collection[str] | None = None,
    ) -> None:
        """``targets`` are those that trials may be of; without them, any.

        Raises ``UnstorableEvent`` naming the event that cannot be read.
        """
        self.host_run_id = host_run_id
        # The last event's sequence; 0 if there is none.
        self.last = events[-1].sequence if events else 0
        self.trials: list[Row] = []
        self.ends: list[Row] = []
        self.facts: list[Row] = []
        self.finished: model.RunFinished | None = None
        for event in events:
            kind = event.WhichOneof("payload")
            try:
                if kind == "trial":
                    _check_target(event, targets)
                    self.trials.append(trial_row(host_run_id, event))
                elif kind == "trial_end":
                    self.ends.append(end_row(host_run_id, event))
                else:
                    self._fact(host_run_id, event, kind)
            except (KeyError, wire.WireError) as error:
                raise UnstorableEvent(
                    f"event {event.sequence} ({kind or 'no payload'}) cannot be read: {error}",
                    remedy="Bring collector and agent to the same version.",
                ) from error

    def _fact(self, host_run_id: int, event: model_pb2.Event, kind: str | None) -> None:
        if kind is None:
            raise KeyError("payload")
        self.facts.append(fact_row(host_run_id, event, kind))
        if kind == "run_finished":
            self.finished = wire.from_message(event.run_finished, model.RunFinished)


def _check_target(event: model_pb2.Event, targets: Collection[str] | None) -> None:
    """A trial of a target that its plan has not could be stored, but never read back."""
    if targets is not None and event.trial.target_id not in targets:
        raise KeyError(event.trial.target_id)
