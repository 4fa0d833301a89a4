"""Opening a stage: the right machine, or a refusal that names the field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.errors import InvalidInput
from agent.experiments.catalog import open_experiment
from agent.experiments.churn import Churn
from agent.experiments.density import Density
from agent.experiments.footprint import Footprint
from agent.experiments.isolation import Isolation
from agent.experiments.memory_floor import MemoryFloorSearch
from agent.experiments.startup import Startup
from tonnage.model import (
    ChurnStage,
    DensityStage,
    FootprintStage,
    IsolationStage,
    LogReadiness,
    MemoryFloorStage,
    Mode,
    Network,
    Slo,
    Stage,
    StartupStage,
    Target,
    TargetTrials,
    Workload,
)

WORKLOAD = Workload("idle", "tonnage/idle:1", LogReadiness("TONNAGE READY"))
TARGETS = {
    "docker": Target("docker", "docker", "default", Mode.WARM, Network.NONE, WORKLOAD, 64 << 20)
}
STARTUP = Stage("startup", StartupStage((TargetTrials("docker", 3),), 1, (1, 2), 10))
DENSITY = Stage("density/docker", DensityStage("docker", 2, 10, 1, Slo(), 2, 1, 10))
Experiment = (
    StartupStage | DensityStage | FootprintStage | ChurnStage | IsolationStage | MemoryFloorStage
)
FLOOR = Stage("memory_floor/docker", MemoryFloorStage("docker", 16 << 20, 64 << 20, 2, 10))
ISOLATION = Stage("isolation/docker", IsolationStage("docker", 2, 5, 10))
CHURN = Stage("churn/docker", ChurnStage("docker", 2, 1.0, 5.0, 2, 1, 10))
FOOTPRINT = Stage("footprint/docker", FootprintStage("docker", (1, 2), 1, 1, 10))


@pytest.mark.parametrize(
    ("stage", "machine"),
    [
        (STARTUP, Startup),
        (DENSITY, Density),
        (FOOTPRINT, Footprint),
        (ISOLATION, Isolation),
        (CHURN, Churn),
        (FLOOR, MemoryFloorSearch),
    ],
)
def test_each_stage_opens_its_machine(stage: Stage, machine: type) -> None:
    assert isinstance(open_experiment(stage, TARGETS, seed=1), machine)


@pytest.mark.parametrize("stage", [STARTUP, DENSITY, FOOTPRINT, CHURN, ISOLATION])
def test_an_unknown_target_is_refused_by_name(stage: Stage) -> None:
    with pytest.raises(InvalidInput, match=r"docker.*Its targets are: podman") as caught:
        open_experiment(stage, {"podman": TARGETS["docker"]}, seed=1)
    assert caught.value.problem.field == f"stages.{stage.id}.target_id"


@pytest.mark.parametrize(
    ("work", "field"),
    [
        (StartupStage((TargetTrials("docker", 3),), 1, (2, 2), 10), "concurrency"),
        (StartupStage((TargetTrials("docker", 3),), 1, (0,), 10), "concurrency"),
        (
            StartupStage((TargetTrials("docker", 3), TargetTrials("docker", 1)), 1, (1,), 10),
            "targets",
        ),
        (DensityStage("docker", 0, 10, 1, Slo(), 2, 1, 10), "step"),
        (DensityStage("docker", 1, 0, 1, Slo(), 2, 1, 10), "max_instances"),
        (DensityStage("docker", 1, 1, 1, Slo(), 2, 1, 10, concurrency=0), "concurrency"),
        (DensityStage("docker", 1, 1, 1, Slo(), 2, 1, 10, resolution=0), "resolution"),
        (FootprintStage("docker", (1,), 0, 1, 10), "repeats"),
        (IsolationStage("docker", 0, 5, 10), "instances"),
        (ChurnStage("docker", 0, 1.0, 5.0, 2, 1, 10), "instances"),
        (ChurnStage("docker", 1, 0.0, 5.0, 2, 1, 10), "rate_per_second"),
        (ChurnStage("docker", 1, 1.0, float("nan"), 2, 1, 10), "duration_seconds"),
        (ChurnStage("docker", 1, 1.0, 5.0, 2, 1, 10, max_in_flight=0), "max_in_flight"),
        (MemoryFloorStage("docker", 16 << 20, 64 << 20, 0, 10), "launches"),
        (MemoryFloorStage("docker", 100, 64 << 20, 1, 10), "low_bytes"),
        (MemoryFloorStage("docker", 16 << 20, 16 << 20, 1, 10), "high_bytes"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(work: Experiment, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_experiment(Stage("s", work), TARGETS, seed=1)
    assert caught.value.problem.field == f"stages.s.{field}"


COLD = {"docker": replace(TARGETS["docker"], mode=Mode.COLD)}


def test_cold_starts_are_made_one_at_a_time() -> None:
    alone = Stage("s", StartupStage((TargetTrials("docker", 3),), 1, (1,), 10))
    assert isinstance(open_experiment(alone, COLD, seed=1), Startup)
    with pytest.raises(InvalidInput, match="one at a time") as caught:
        open_experiment(STARTUP, COLD, seed=1)
    assert caught.value.problem.field == "stages.startup.concurrency"


@pytest.mark.parametrize("stage", [DENSITY, FOOTPRINT, CHURN, ISOLATION])
def test_nothing_is_cold_beside_instances_that_live(stage: Stage) -> None:
    with pytest.raises(InvalidInput, match="start-up alone"):
        open_experiment(stage, COLD, seed=1)
