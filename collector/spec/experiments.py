"""What an experiment file may measure, each with its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from collector.spec.parts import Name, Part
from collector.spec.units import Budget, Deadline, Effect, InstanceMemory, Percent, Seconds

_MEBIBYTE = 1 << 20

Trials = Annotated[int, Field(strict=True, ge=1, le=100_000)]
InFlight = Annotated[int, Field(strict=True, ge=1, le=256)]
Count = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Counts = Annotated[tuple[Count, ...], Field(min_length=2, max_length=32)]


class StartupTweak(Part):
    """What one target does otherwise."""

    trials: Trials | None = None
    """Its measured trials at each concurrency level."""


class Startup(Part):
    """How fast instances start, all targets interleaved in randomised blocks."""

    trials: Trials
    """Measured trials of each target at each concurrency level."""
    warmup: Annotated[int, Field(strict=True, ge=0, le=1000)] = 2
    """Trials of each target before the first level; stored, never counted."""
    concurrency: tuple[InFlight, ...] = Field(default=(1,), min_length=1, max_length=16)
    """How many trials are in flight at once, level after level."""
    per_target: Mapping[Name, StartupTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""


class SloSpec(Part):
    """What the host must still deliver at a density step; absent asks nothing."""

    ready_p95: Deadline | None = None
    """Largest p95 of the probes' starts, request to ready."""
    cpu_pressure: Percent | None = None
    """Largest share of time in which some task waited for a CPU (PSI, 10 s)."""
    memory_pressure: Percent | None = None
    """Largest share of time in which some task waited for memory (PSI, 10 s)."""
    io_pressure: Percent | None = None
    """Largest share of time in which some task waited for disks (PSI, 10 s)."""
    available_memory: Budget | None = None
    """Smallest memory that must stay available on the host."""


class DensityTweak(Part):
    """What one target does otherwise."""

    step: Count | None = None
    """Fill instances added at each step."""
    max_instances: Count | None = None
    """Largest number of fill instances."""
    probes: Annotated[int, Field(strict=True, ge=0, le=1000)] | None = None
    """Probe instances launched, and removed, at each step."""
    memory_budget: Budget | None = None
    """Memory the fill instances may use."""
    memory_limit: Budget | None = None
    """Hard limit of a memory cgroup that all instances of the ramp are placed below."""
    slo: SloSpec | None = None
    """What must hold at each step."""
    forecast_after: Annotated[int, Field(strict=True, ge=2, le=1000)] | None = None
    """Steps after which the limit is forecast."""
    settle: Seconds | None = None
    """Rest before each measurement."""
    concurrency: InFlight | None = None
    """Fill launches in flight at once."""
    resolution: Count | None = None
    """How closely the limit is looked for between the last step that held and the next."""


class Density(DensityTweak):
    """How many instances the host carries: a ramp, step by step, to a limit."""

    step: Count = 1
    """Fill instances added at each step."""
    max_instances: Count
    """Largest number of fill instances."""
    probes: Annotated[int, Field(strict=True, ge=0, le=1000)] = 1
    """Probe instances launched, and removed, at each step."""
    slo: SloSpec = SloSpec()
    """What must hold at each step."""
    forecast_after: Annotated[int, Field(strict=True, ge=2, le=1000)] = 3
    """Steps after which the limit is forecast."""
    settle: Seconds = 1.0
    """Rest before each measurement."""
    concurrency: InFlight = 1
    """Fill launches in flight at once."""
    resolution: Count = 1
    """How closely the limit is looked for between the last step that held and the next."""
    per_target: Mapping[Name, DensityTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""


class FootprintTweak(Part):
    """What one target does otherwise."""

    counts: Counts | None = None
    """Counts of instances, ascending; the empty host is always measured first."""
    repeats: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    """How often the whole series is measured."""
    settle: Seconds | None = None
    """Rest before each measurement."""
    concurrency: InFlight | None = None
    """Launches in flight at once."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        counts = self.counts or ()
        if list(counts) != sorted(set(counts)):
            raise PydanticCustomError("ascending", "counts must ascend, each one once")
        return self


class Footprint(FootprintTweak):
    """What one more instance costs in memory and disk: a slope over several counts."""

    counts: Counts
    """Counts of instances, ascending; the empty host is always measured first."""
    repeats: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1
    """How often the whole series is measured."""
    settle: Seconds = 1.0
    """Rest before each measurement."""
    concurrency: InFlight = 1
    """Launches in flight at once."""
    per_target: Mapping[Name, FootprintTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""


class IsolationTweak(Part):
    """What one target does otherwise."""

    instances: Annotated[int, Field(strict=True, ge=2, le=32)] | None = None
    """Instances that live side by side, each asked what it sees."""


class Isolation(IsolationTweak):
    """What one instance sees of the host and of its neighbours."""

    instances: Annotated[int, Field(strict=True, ge=2, le=32)] = 2
    """Instances that live side by side, each asked what it sees."""
    per_target: Mapping[Name, IsolationTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""


class MemoryFloorTweak(Part):
    """What one target does otherwise."""

    low: InstanceMemory | None = None
    """The smallest memory tried, in whole MiB."""
    high: InstanceMemory | None = None
    """The largest memory tried, in whole MiB."""
    launches: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    """Launches at each size, all of which must become ready."""


class MemoryFloor(MemoryFloorTweak):
    """The smallest memory in which an instance starts, found by search."""

    low: InstanceMemory = 16 << 20
    """The smallest memory tried, in whole MiB."""
    high: InstanceMemory = 512 << 20
    """The largest memory tried, in whole MiB."""
    launches: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    """Launches at each size, all of which must become ready."""
    per_target: Mapping[Name, MemoryFloorTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        tweaks = [(own.low or self.low, own.high or self.high) for own in self.per_target.values()]
        for low, high in ((self.low, self.high), *tweaks):
            if low % _MEBIBYTE or high % _MEBIBYTE or low >= high:
                text = "low and high are whole MiB, and low is less than high"
                raise PydanticCustomError("bounds", text)
        return self


class Compare(Part):
    """How targets are compared."""

    baseline: Name | None = None
    """The target every other one is compared with, by name or runtime; absent: the first."""
    minimum_effect: Effect = 0.05
    """A smaller difference is no difference."""
