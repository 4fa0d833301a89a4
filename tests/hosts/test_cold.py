"""Cold starts of real containers and VMs: their files are out of the page cache, verified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.probes.pagecache import regular_files
from agent.runtimes.base import Evictable
from agent.runtimes.registry import RuntimeSettings, open_runtimes
from tests.contracts.runtimes import IDLE, KINDS, settings_for
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

RUNTIMES = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("docker-runsc", marks=pytest.mark.docker),
    pytest.param("podman", marks=pytest.mark.podman),
    pytest.param("containerd", marks=pytest.mark.containerd),
    pytest.param("runc", marks=pytest.mark.runc),
    pytest.param("qemu-microvm", marks=pytest.mark.qemu),
]
# Beside what some process has mapped: a page that is being read in that very moment.
MOST_LEFT = 0.05


@pytest.fixture(params=RUNTIMES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> RuntimeSettings:
    """Those of a runtime that this machine has; its name is the agent's id."""
    kind = KINDS[request.param]
    for name in kind.requires:
        request.getfixturevalue(name)
    given = {name: request.getfixturevalue(name) for name in kind.needs}
    return settings_for(kind, given, kind.name, tmp_path / "looking")


async def start_files(target: Target, settings: RuntimeSettings) -> Sequence[str]:
    """What a start of this target reads."""
    (runtime,) = open_runtimes([target.runtime], settings)
    assert isinstance(runtime, Evictable)
    try:
        prepared = await runtime.prepare(target.workload)
        return regular_files(runtime.start_files(target, prepared))
    finally:
        await runtime.close()


def mapped(files: Sequence[str]) -> dict[str, int]:
    """Of these files, those that a process of this host has mapped, with their sizes: the
    kernel keeps them. One of a container's own is known there by the end of its path."""
    names = set[str]()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            lines = maps.read_text().splitlines()
        except OSError:  # it has just ended
            continue
        names.update(line.split(maxsplit=5)[5] for line in lines if " /" in line)
    held = (file for file in files if file.endswith(tuple(names)))
    return {file: Path(file).stat().st_size for file in held}


async def test_cold_starts_find_their_files_evicted_and_warm_ones_find_all(
    settings: RuntimeSettings, tmp_path: Path
) -> None:
    kind = KINDS[settings.agent_id]
    variant = "direct" if kind.name == "qemu-microvm" else "default"
    targets = [
        Target(mode.value, kind.name, variant, mode, Network.NONE, IDLE, kind.memory_bytes)
        for mode in (Mode.COLD, Mode.WARM)
    ]
    needs = [(f"--{name.replace('_', '-')}", str(getattr(settings, name))) for name in kind.needs]
    trials = tuple(TargetTrials(target.id, 2) for target in targets)
    stage = Stage("startup", StartupStage(trials, 0, (1,), 45))
    files = await start_files(targets[0], settings)
    held = mapped(files)
    flags = [word for flag in (("--runtimes", kind.name), *needs) for word in flag]
    async with agent(tmp_path, *flags) as host:
        events = await host.run(plan(stage, targets=targets))
    held |= mapped(files)
    assert finished(events).state is RunState.FINISHED, finished(events)
    found = payloads(events, Trial)
    assert {trial.outcome for trial in found} == {Outcome.READY}
    for trial in found:
        total, cached = trial.cold_bytes, trial.cold_cached_bytes
        assert total is not None
        assert cached is not None
        assert total > 1 << 20
        if trial.target_id == Mode.COLD:
            assert cached - sum(held.values()) < MOST_LEFT * total, held
        else:
            assert cached == total
