"""The result of a run as one document: ``result.json`` and its JSON Schema.

Every row begins with its subject. ``null`` means *not measured* or *too few
samples*; a ``*_reason`` field beside it says which.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from collector.reports.churn_rows import ChurnReadingRow, ChurnRow, ChurnWindow
from collector.reports.merged import Merged
from collector.reports.rows import (
    ComparisonRow,
    DensityRow,
    DensityStep,
    Document,
    FootprintRow,
    Interval,
    IsolationRow,
    Kind,
    LayerRow,
    MemoryFloorRow,
    SnapshotRow,
    StartupRow,
    Subject,
    Verdict,
)

__all__ = [
    "ChurnReadingRow",
    "ChurnRow",
    "ChurnWindow",
    "ComparisonRow",
    "DensityRow",
    "DensityStep",
    "FootprintRow",
    "HostSummary",
    "Interval",
    "IsolationRow",
    "Kind",
    "LayerRow",
    "MemoryFloorRow",
    "Merged",
    "Result",
    "Resumption",
    "RunSummary",
    "RuntimeSummary",
    "SnapshotRow",
    "StartupRow",
    "Subject",
    "Verdict",
]


class RunSummary(Document):
    """The run."""

    id: str
    name: str
    state: str
    spec: dict[str, Any]
    seed: int
    versions: dict[str, str]
    started_at: datetime
    finished_at: datetime | None
    problem: str | None = Field(description="Why the run did not finish, in one line.")
    start_skew_seconds: float | None = Field(
        default=None,
        description="Upper bound on how far apart the hosts began to launch; null if they did "
        "not wait for one another.",
    )
    trials_removed_at: datetime | None = Field(
        default=None,
        description="When the run's trials were removed; the figures are those computed before. "
        "Null while they are kept.",
    )


class RuntimeSummary(Document):
    """A runtime as its host found it when the run began."""

    name: str
    state: Literal["undetected", "unhealthy", "healthy"]
    version: str
    accelerator: Literal["none", "kvm", "tcg"]
    accelerator_proof: str
    reason: str
    components: dict[str, str]


class Resumption(Document):
    """Once that a host's agent went on with the run after an interruption."""

    number: int = Field(description="How often by then, from 1.")
    rebooted: bool = Field(description="Whether the host's kernel was booted in between.")
    reason: str


class HostSummary(Document):
    """A host as it was when the run began."""

    host: str
    state: str
    problem: str | None
    facts: dict[str, Any]
    runtimes: list[RuntimeSummary]
    removed: list[str] = Field(
        description="Instances removed at the end that should have been gone."
    )
    leaked: list[str] = Field(description="Instances that survived removal.")
    measured: bool = Field(
        default=True, description="Whether the host gave any trial, step or point of this run."
    )
    resumptions: list[Resumption] = Field(
        default=[], description="Each time its agent went on with the run, in order."
    )


class Result(Document):
    """The result of a run."""

    run: RunSummary
    hosts: list[HostSummary]
    startup: list[StartupRow]
    density: list[DensityRow]
    footprint: list[FootprintRow]
    comparisons: list[ComparisonRow]
    churn: list[ChurnRow] = Field(default=[])
    isolation: list[IsolationRow] = Field(default=[])
    memory_floor: list[MemoryFloorRow] = Field(default=[])
    snapshots: list[SnapshotRow] = Field(default=[])
    warnings: list[str]
    layers: list[LayerRow] = Field(
        default=[], description="Each box of each subject's stack, from the ground up."
    )
    merged: Merged | None = Field(
        default=None, description="The same over all hosts; null for a run on one host."
    )
