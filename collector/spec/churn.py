"""The churn experiment in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from collector.spec.parts import Name, Part
from collector.spec.units import Duration, Seconds

Instances = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Length = Annotated[float, Duration("1s", "24h")]
Readings = Annotated[int, Field(strict=True, ge=0, le=10_000)]
InFlight = Annotated[int, Field(strict=True, ge=1, le=256)]


class ChurnTweak(Part):
    """What one target does otherwise."""

    instances: Instances | None = None
    """Instances that live all the time."""
    rate: Rate | None = None
    """Replacements a second, each at its time whatever became of those before it."""
    duration: Length | None = None
    """How long instances are replaced."""
    readings: Readings | None = None
    """Readings of host and instances, spread evenly over the replacements."""
    settle: Seconds | None = None
    """Rest before the empty host and the filled one are measured."""
    concurrency: InFlight | None = None
    """Launches in flight at once while the host is filled."""
    max_in_flight: InFlight | None = None
    """Most replacements in flight at once; one that is due beyond it is late."""


class Churn(ChurnTweak):
    """A steady number of instances, replaced at a rate: how starts and memory fare meanwhile."""

    instances: Instances
    """Instances that live all the time."""
    rate: Rate
    """Replacements a second, each at its time whatever became of those before it."""
    duration: Length
    """How long instances are replaced."""
    readings: Readings = 20
    """Readings of host and instances, spread evenly over the replacements."""
    settle: Seconds = 1.0
    """Rest before the empty host and the filled one are measured."""
    concurrency: InFlight = 1
    """Launches in flight at once while the host is filled."""
    max_in_flight: InFlight = 32
    """Most replacements in flight at once; one that is due beyond it is late."""
    per_target: Mapping[Name, ChurnTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""
