"""Cold starts of real containers and VMs: their files are out of the page cache, verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.runtimes import IDLE
from tests.integration.agents import agent, finished, payloads, plan
from tonnage.model import (
    Mode,
    Network,
    Outcome,
    RunState,
    Stage,
    StartupStage,
    Target,
    TargetTrials,
    Trial,
)

KINDS = [
    pytest.param("docker", "default", marks=pytest.mark.docker),
    pytest.param("qemu-microvm", "direct", marks=pytest.mark.qemu),
]
# On a host with nothing else on it a few percent at most stay. Other containers or
# VMs of this machine may have mapped a shim or QEMU, which then stay too.
MOST_LEFT = 0.65


@pytest.mark.parametrize(("runtime", "variant"), KINDS)
async def test_cold_starts_find_their_files_evicted_and_warm_ones_find_all(
    runtime: str,
    variant: str,
    docker_host: str,
    guest_dir: Path,
    images_dir: Path,
    tmp_path: Path,
) -> None:
    places = ("--guest-dir", str(guest_dir), "--images-dir", str(images_dir))
    flags = ("--runtimes", runtime, "--docker-host", docker_host, *places)
    targets = [
        Target(mode.value, runtime, variant, mode, Network.NONE, IDLE, 128 << 20)
        for mode in (Mode.COLD, Mode.WARM)
    ]
    trials = tuple(TargetTrials(target.id, 1) for target in targets)
    stage = Stage("startup", StartupStage(trials, 0, (1,), 45))
    async with agent(tmp_path, *flags) as host:
        events = await host.run(plan(stage, targets=targets))
    assert finished(events).state is RunState.FINISHED, finished(events)
    found = payloads(events, Trial)
    assert {trial.outcome for trial in found} == {Outcome.READY}
    for trial in found:
        total, cached = trial.cold_bytes, trial.cold_cached_bytes
        assert total is not None
        assert cached is not None
        assert total > 1 << 20
        if trial.target_id == Mode.COLD:
            assert cached < MOST_LEFT * total
        else:
            assert cached == total
