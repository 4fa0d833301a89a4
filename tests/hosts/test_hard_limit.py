"""Ramps under a hard memory limit on real engines: the kernel says when it is enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent import memory_group
from tests.contracts.runtimes import IDLE
from tests.integration.agents import agent, finished, payloads, plan
from tonnage.model import (
    DensityResult,
    DensityStage,
    Event,
    Forecast,
    Mode,
    Network,
    Plan,
    RunResumed,
    RunState,
    Slo,
    Stage,
    Step,
    StopReason,
    Target,
    Trial,
    Workload,
)

MIB = 1 << 20
SHORT_LIVED = ("--orphan-grace-seconds", "5")
# 16 MB of anonymous memory in each container.
HOLDS = (
    "held=$(busybox head -c 16000000 /dev/zero | busybox tr '\\000' x); echo TONNAGE READY;"
    " while read -r line; do echo pong; done"
)


def ramp(target: Target, limit_bytes: int, step: int) -> Plan:
    work = DensityStage(target.id, step, 20, 0, Slo(), 2, 0.2, 50.0)
    work = replace(work, memory_limit_bytes=limit_bytes)
    return plan(Stage("density", work), targets=[target], time_limit=100)


def target(runtime: str, variant: str, workload: Workload, memory_bytes: int) -> Target:
    return Target(runtime, runtime, variant, Mode.WARM, Network.NONE, workload, memory_bytes)


def groups(data_dir: Path) -> list[str]:
    return memory_group.leftovers((data_dir / "agent-id").read_text().strip())


def judged(events: list[Event]) -> tuple[DensityResult, Forecast]:
    failed = [trial.evidence for trial in payloads(events, Trial) if trial.error]
    assert finished(events).state is RunState.FINISHED, failed[:1]
    assert (finished(events).removed, finished(events).leaked) == ((), ())
    (result,), (forecast,) = payloads(events, DensityResult), payloads(events, Forecast)
    assert result.stop_reason is StopReason.MEMORY_LIMIT, result.binding_constraint
    assert forecast.constraint is StopReason.MEMORY_LIMIT
    return result, forecast


@pytest.mark.docker
async def test_containers_fill_the_limit_as_foretold_through_a_kill_of_the_agent(
    docker_host: str, tmp_path: Path
) -> None:
    flags = ("--runtimes", "docker", "--docker-host", docker_host, *SHORT_LIVED)
    holds = replace(IDLE, command=("/bin/sh", "-c", HOLDS))
    whole = ramp(target("docker", "default", holds, 64 * MIB), 128 * MIB, 1)
    async with agent(tmp_path, *flags) as first:
        await first.start(whole)
        await first.until("run-1", Step, 3)
        (before,) = groups(tmp_path)
        await first.kill()
    async with agent(tmp_path, *flags) as second:
        events = await second.events("run-1")
        result, forecast = judged(events)
        assert payloads(events, RunResumed)
        assert before not in groups(tmp_path)
        # 16 MB each, and the launch that makes the eighth finds no room.
        assert 5 <= result.limit_instances <= 7
        assert abs(forecast.limit_instances - result.limit_instances) <= 1
        assert groups(tmp_path) == []
        assert await second.stop() == 0


@pytest.mark.qemu
async def test_machines_fill_the_limit_as_foretold(
    guest_dir: Path, images_dir: Path, tmp_path: Path
) -> None:
    own = ("--guest-dir", str(guest_dir), "--images-dir", str(images_dir), *SHORT_LIVED)
    small = target("qemu-microvm", "direct", IDLE, 96 * MIB)
    async with agent(tmp_path, "--runtimes", "qemu-microvm", *own) as host:
        events = await host.run(ramp(small, 480 * MIB, 1))
        result, forecast = judged(events)
        assert abs(forecast.limit_instances - result.limit_instances) <= 1
        last = payloads(events, Step)[-1].sample
        assert last.alive == result.limit_instances == last.instances - 1
        assert groups(tmp_path) == []
        assert await host.stop() == 0
