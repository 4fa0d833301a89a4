"""The rows of a result over all hosts: subjects that differ by the host only are one.

Intervals are by resampling hosts first; where there are fewer than five hosts
there is none, and a ``reason`` field beside it says so.
"""

from __future__ import annotations

from pydantic import Field

from collector.reports.rows import Document, Interval, Kind, StartupFigures, Verdict

_ODD = "Hosts further from the middle of all than their own intervals allow."
_OF_HOSTS = Field(description="Hosts that the figures are of.")


class MergedStartupRow(StartupFigures, Kind):
    """Start-up on all hosts: quantiles of their raw samples together."""

    hosts: int = Field(description="Hosts with samples behind the quantiles.")
    p50_ci_reason: str | None = Field(description="Why the median has no interval.")
    host_p50_seconds: tuple[float, float, float] | None = Field(
        description="Least, median and greatest of the hosts' own medians."
    )
    odd_hosts: list[str] = Field(description=_ODD)


class MergedDensityRow(Kind):
    """How many instances the hosts carry, together and each."""

    hosts: int = Field(description="Hosts whose ramp came to its end.")
    hosts_at_least: int = Field(
        description="Those of them whose ramp was cut short, so that they carry at least as many."
    )
    instances: int | None = Field(description="Sum of the hosts' limits.")
    ci: Interval | None = Field(
        description="95 % interval of the sum over as many hosts, were they drawn anew."
    )
    host_instances: tuple[float, float, float] | None = Field(
        description="Least, median and greatest limit of a host."
    )
    median_ci: Interval | None = Field(description="95 % interval of the median limit.")
    reason: str | None = Field(description="Why an interval or the sum is null.")


class MergedFootprintRow(Kind):
    """What one more instance costs, by one estimator: the median of the hosts' slopes."""

    estimator: str
    hosts: int = _OF_HOSTS
    bytes_per_instance: float | None = Field(description="Median over the hosts.")
    ci_bytes: Interval | None = Field(description="95 % interval of that median.")
    host_bytes: Interval | None = Field(description="Least and greatest of a host.")
    reason: str | None = Field(description="Why a figure is null.")
    odd_hosts: list[str] = Field(description=_ODD)


class MergedComparisonRow(Document):
    """One metric of two subjects over the hosts that measured both in this run."""

    metric: str
    baseline: Kind
    candidate: Kind
    concurrency: int | None
    hosts: int = _OF_HOSTS
    ratio: float | None = Field(
        description="candidate / baseline: of pooled medians (startup), of sums (density), or "
        "the median of the hosts' own ratios (footprint)."
    )
    ci: Interval | None
    p_value: float | None
    n_baseline: int
    n_candidate: int
    verdict: Verdict
    reason: str = Field(description="One sentence behind the verdict.")
    host_ratios: Interval | None = Field(description="Least and greatest ratio of a host.")
    host_verdicts: dict[str, int] = Field(description="How many hosts' own verdicts were which.")
    odd_hosts: list[str] = Field(description=_ODD)


class Merged(Document):
    """What was found over all hosts."""

    hosts: int = Field(description="Hosts that measured something.")
    startup: list[MergedStartupRow]
    density: list[MergedDensityRow]
    footprint: list[MergedFootprintRow]
    comparisons: list[MergedComparisonRow]
