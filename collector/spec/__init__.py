"""The experiment file: what it may say, how it is read, and what is wrong with it."""

from collector.spec.check import parse
from collector.spec.churn import Churn
from collector.spec.combinations import Combination, tweaked
from collector.spec.document import Spec
from collector.spec.experiments import (
    Compare,
    Density,
    Footprint,
    Isolation,
    MemoryFloor,
    SloSpec,
    Startup,
)
from collector.spec.parts import HealthCheck, Readiness, TargetSpec, WorkloadSpec
from collector.spec.rules import EXPERIMENTS
from collector.spec.schema import json_schema
from collector.spec.selection import HostSelection

__all__ = [
    "EXPERIMENTS",
    "Churn",
    "Combination",
    "Compare",
    "Density",
    "Footprint",
    "HealthCheck",
    "HostSelection",
    "Isolation",
    "MemoryFloor",
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
