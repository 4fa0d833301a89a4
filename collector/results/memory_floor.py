"""Memory floor rows: the smallest memory in which each subject started, and what was tried."""

from __future__ import annotations

from collector.model import RunData
from collector.reports.rows import MemoryFloorRow, MemoryTried
from collector.results.subjects import Subjects, stages
from tonnage import model


def memory_floor_rows(data: RunData, subjects: Subjects) -> list[MemoryFloorRow]:
    """One row for each search, in the plan's order."""
    told = {
        (row.host, row.fact.stage_id): row.fact
        for row in data.facts
        if isinstance(row.fact, model.MemoryFloor)
    }
    return [
        MemoryFloorRow(
            **dict(subjects.subject(subjects.key(host, stage.target_id))),
            **_found(told.get((host, stage_id)), stage),
        )
        for host, stage_id, stage in stages(data, model.MemoryFloorStage)
    ]


def _found(told: model.MemoryFloor | None, stage: model.MemoryFloorStage) -> dict[str, object]:
    levels = told.levels if told is not None else ()
    failed = [level.memory_bytes for level in levels if level.ready < stage.launches]
    floor_bytes = told.floor_bytes if told is not None else None
    return {
        "floor_bytes": floor_bytes,
        "bounded": told is not None and told.bounded,
        "failed_bytes": max(failed, default=None) if floor_bytes is not None else None,
        "launches": stage.launches,
        "tried": [
            MemoryTried(
                memory_bytes=level.memory_bytes,
                launches=level.launches,
                ready=level.ready,
                error=level.error or None,
            )
            for level in levels
        ],
        "reason": _reason(told, stage),
    }


def _reason(told: model.MemoryFloor | None, stage: model.MemoryFloorStage) -> str | None:
    """Why there is no floor."""
    if told is None:
        return "the search was not made, or did not end"
    if told.floor_bytes is not None:
        return None
    if told.levels and told.levels[0].ready < stage.launches:
        return f"even the largest size did not start: {told.levels[0].error or 'it was cut short'}"
    return "the search was cut short"
