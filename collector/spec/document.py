"""The experiment file as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from collector.spec import rules
from collector.spec.churn import Churn
from collector.spec.combinations import Combination, expand
from collector.spec.experiments import Compare, Density, Footprint, Isolation, MemoryFloor, Startup
from collector.spec.parts import Name, TargetSpec, WorkloadSpec
from collector.spec.settings import RunSettings


class Spec(RunSettings):
    """An experiment: what to launch, where, and what to measure."""

    workload: WorkloadSpec | None = None
    """What runs in every instance. Either this or ``workloads``."""
    workloads: Mapping[Name, WorkloadSpec] = Field(default_factory=dict, max_length=64)
    """Several workloads by name, for targets to choose from."""
    targets: tuple[TargetSpec, ...] = Field(min_length=1, max_length=64)
    """What is launched."""
    startup: Startup | None = None
    """How fast instances start."""
    density: Density | None = None
    """How many instances the host carries."""
    footprint: Footprint | None = None
    """What one more instance costs."""
    churn: Churn | None = None
    """How starts and memory fare while instances come and go."""
    isolation: Isolation | None = None
    """What one instance sees of the host and of its neighbours."""
    memory_floor: MemoryFloor | None = None
    """The smallest memory in which an instance starts."""
    compare: Compare = Compare()
    """How targets are compared."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rules.check(self)
        return self

    def combinations(self) -> tuple[Combination, ...]:
        """Every target, in the order of the file."""
        return tuple(item for entry in self.targets for item in expand(entry))

    @property
    def baseline_id(self) -> str:
        """The id of the target that the others are compared with."""
        name = self.compare.baseline
        return next(c.id for c in self.combinations() if name is None or c.called(name))
