"""The search for the smallest memory on a real agent over real gRPC."""

from __future__ import annotations

from pathlib import Path

from tests.integration.agents import agent, finished, payloads, plan, target
from tonnage.model import (
    MemoryFloor,
    MemoryFloorStage,
    Outcome,
    Population,
    RunState,
    Stage,
    Trial,
)

MIB = 1 << 20


async def test_instances_are_launched_with_the_memory_that_is_tried(tmp_path: Path) -> None:
    stage = Stage("memory_floor/fake", MemoryFloorStage("fake", 16 * MIB, 32 * MIB, 2, 10))
    async with agent(tmp_path) as host:
        events = await host.run(plan(stage, targets=(target(FAKE_NEEDS_MIB="20.5"),)))
    (found,) = payloads(events, MemoryFloor)
    assert found.floor_bytes == 21 * MIB
    trials = payloads(events, Trial)
    assert {trial.population for trial in trials} == {Population.PROBE}
    assert "needs 20.5 MiB" in next(t.error for t in trials if t.outcome is Outcome.FAILED)
    assert finished(events).state is RunState.FINISHED
