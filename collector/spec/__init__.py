"""The experiment file: what it may say, how it is read, and what is wrong with it."""

from collector.spec.check import parse
from collector.spec.experiments import (
    Combination,
    Compare,
    Density,
    Footprint,
    SloSpec,
    Spec,
    Startup,
    tweaked,
)
from collector.spec.parts import HealthCheck, Readiness, TargetSpec, WorkloadSpec
from collector.spec.schema import json_schema
from collector.spec.selection import HostSelection

__all__ = [
    "Combination",
    "Compare",
    "Density",
    "Footprint",
    "HealthCheck",
    "HostSelection",
    "Readiness",
    "SloSpec",
    "Spec",
    "Startup",
    "TargetSpec",
    "WorkloadSpec",
    "json_schema",
    "parse",
    "tweaked",
]
