"""What becomes of a batch of events, whatever the engine: which of them are new, and where
they belong."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import NamedTuple

from collector.errors import SequenceGap, StoreError
from collector.model import ended_as
from collector.stores.sql.ingest import Rows
from collector.stores.sql.rows import problem_to_json
from tonnage.v1 import model_pb2

# A run and a host of it.
Key = tuple[str, str]
# The integers of every engine end here.
_SEQUENCES = 2**63


class Place(NamedTuple):
    """A host's run: its row, and the targets that its trials may be of."""

    id: int
    targets: Collection[str]


def place(host_run_id: int, plan_json: str) -> Place:
    """The place that a row of ``host_run`` is."""
    return Place(host_run_id, frozenset(t["id"] for t in json.loads(plan_json)["targets"]))


def never_planned(key: Key) -> StoreError:
    """The error for events that have no place."""
    run_id, host = key
    return StoreError(f"run {run_id} was never planned for host {host}")


def check_contiguous(events: Sequence[model_pb2.Event]) -> None:
    """Raise ``SequenceGap`` unless every event follows the one before it."""
    if not events:
        return
    first, last = events[0].sequence, events[-1].sequence
    expected = range(first, first + len(events))
    if (
        first < 1
        or last != expected[-1]
        or last >= _SEQUENCES
        or any(event.sequence != number for event, number in zip(events, expected, strict=True))
    ):
        raise SequenceGap(f"a batch from {first} to {last} is not contiguous")


def rows_above(mark: int, events: Sequence[model_pb2.Event], at: Place) -> Rows:
    """The rows of contiguous events above the high-water mark.

    Raises ``SequenceGap`` where they begin beyond it, ``UnstorableEvent`` where one
    cannot be read.
    """
    first = events[0].sequence if events else mark + 1
    if first > mark + 1:
        raise SequenceGap(f"events {mark + 1} to {first - 1} are missing")
    return Rows(at.id, events[max(0, mark - first + 1) :], at.targets)


def ending(rows: Rows) -> tuple[str, str | None]:
    """State and problem, as stored, of a host whose last event is among ``rows``."""
    if rows.finished is None:
        raise StoreError("rows without an end cannot end a host's run")
    return ended_as(rows.finished).value, problem_to_json(rows.finished.problem)
