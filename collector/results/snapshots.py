"""Snapshot rows: what it took to save what clones were restored from."""

from __future__ import annotations

from collector.model import RunData
from collector.reports.rows import SnapshotRow
from collector.results.subjects import Subjects
from tonnage import model


def snapshot_rows(data: RunData, subjects: Subjects) -> list[SnapshotRow]:
    """One row each time a template was made, in the order of the facts: a run that went on
    after its agent had died made its templates anew."""
    return [
        SnapshotRow(
            **dict(subjects.subject(subjects.key(row.host, row.fact.target_id))),
            seconds=row.fact.seconds,
            state_bytes=row.fact.state_bytes,
        )
        for row in data.facts
        if isinstance(row.fact, model.Snapshot)
    ]
