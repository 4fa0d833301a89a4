"""The rows of a churn: starts and memory while instances come and go."""

from __future__ import annotations

from pydantic import Field

from collector.reports.rows import Document, Interval, Subject, Verdict


class ChurnWindow(Document):
    """A tenth of a churn schedule."""

    begins_seconds: float
    n: int = Field(description="Replacements due in it that became ready.")
    missing: int = Field(description="Those that failed or timed out.")
    p50_seconds: float | None = Field(description="Median, due to ready; null for fewer than 6.")
    max_seconds: float | None
    late_max_seconds: float | None


class ChurnReadingRow(Document):
    """Host and instances at one moment of a churn stage."""

    at_seconds: float | None = Field(description="Of the schedule; null before it began.")
    instances: int
    alive: int
    answering: int
    mem_available_bytes: int | None
    pss_bytes: int | None
    engine_bytes: int | None
    foreign_bytes: int | None


class ChurnRow(Subject):
    """Starts and memory while a steady number of instances is replaced at a rate."""

    instances: int = Field(description="Instances that lived all the time.")
    rate_per_second: float
    duration_seconds: float
    requested: int = Field(description="Replacements on schedule, interrupted attempts included.")
    ready: int
    failed: int
    timed_out: int
    cancelled: int
    interrupted: int
    n: int = Field(description="Samples behind the quantiles.")
    p50_seconds: float | None = Field(description="Median from when it was due to ready.")
    p50_ci_seconds: Interval | None
    p95_seconds: float | None
    p99_seconds: float | None
    p50_reason: str | None = Field(description="Why p50 is null.")
    p95_reason: str | None = Field(description="Why p95 is null.")
    p99_reason: str | None = Field(description="Why p99 is null.")
    max_seconds: float | None
    late_max_seconds: float | None = Field(
        description="The latest that a replacement was requested after it was due."
    )
    first_p50_seconds: float | None = Field(description="Median of the first third.")
    last_p50_seconds: float | None = Field(description="Median of the last third.")
    drift_ratio: float | None = Field(description="Last third / first third.")
    drift_ci: Interval | None
    drift_p_value: float | None
    drift: Verdict
    drift_reason: str
    memory_bytes_per_hour: float | None = Field(
        description="Growth of the host's memory in use at equal numbers of instances."
    )
    memory_ci_bytes_per_hour: Interval | None
    memory_n: int = Field(description="Readings behind it.")
    memory_reason: str | None = Field(description="Why a figure of memory is null.")
    foreign_bytes_per_hour: float | None = Field(
        description="Growth of other programs' memory meanwhile; nothing is corrected for it."
    )
    kept_bytes: int | None = Field(
        description="Memory that the empty host used more after than before; null unless both "
        "were read."
    )
    not_removed: int = Field(description="Instances whose removal told of trouble.")
    died: int = Field(description="Most instances that did not live at a reading.")
    refilled: int = Field(description="Instances launched again after an interruption.")
    windows: list[ChurnWindow]
    readings: list[ChurnReadingRow]
