"""VMs restored from one snapshot: each its own machine, and nothing left of any."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.clock import Timeline
from agent.probes.base import Reading, Roots
from agent.probes.pss import VmmOverhead
from agent.process import cmdline
from agent.runtimes.base import LaunchSpec, Scope, Template
from agent.runtimes.qemu import QemuRuntime, open_full, open_microvm, vmm
from agent.runtimes.qemu.instance import QemuInstance
from agent.runtimes.qemu.machine import agent_prefix
from agent.runtimes.registry import RuntimeSettings
from tests.contracts.runtimes import IDLE
from tests.hosts import vms
from tests.integration.agents import agent, finished, payloads, plan
from tonnage.model import (
    CLONE_VARIANTS,
    ConsoleHealth,
    LogReadiness,
    Mode,
    Network,
    Outcome,
    RunState,
    Snapshot,
    Stage,
    StartupStage,
    Target,
    TargetTrials,
    Trial,
    Workload,
)

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(150)]

READY_SECONDS = 45.0
# Keeps what it is told in its memory and in a file, which in this guest is memory too.
_SHELL = """
echo TONNAGE READY; kept=template; echo template >/kept
while read -r word value; do case $word in
ping) echo pong;;
put) kept=$value; echo "$value" >/kept; echo stored .;;
get) echo "kept $kept $(cat /kept) .";;
who) echo "host $(hostname) .";;
esac; done
"""
KEEPER = Workload(
    "keeper",
    IDLE.image,
    LogReadiness("TONNAGE READY"),
    command=("/bin/sh", "-c", _SHELL),
    health=ConsoleHealth("ping", "pong"),
)


@dataclass
class Bench:
    """A runtime of an agent that lives for one test, and a template in it."""

    runtime: QemuRuntime
    settings: RuntimeSettings

    def target(self, variant: str, workload: Workload = KEEPER) -> Target:
        """What is restored."""
        return Target(
            variant, "qemu-microvm", variant, Mode.RESTORE, Network.NONE, workload, 128 << 20
        )

    @property
    def scope(self) -> Scope:
        """Its agent and run."""
        return Scope(self.settings.agent_id, "run")

    async def saved(self, variant: str) -> Template:
        """A template of the keeper."""
        prepared = await self.runtime.prepare(KEEPER)
        return await self.runtime.snapshot(self.target(variant), prepared, self.scope)

    async def clone(self, variant: str, template: Template) -> QemuInstance:
        """One VM restored from it, ready."""
        name = f"vm-{uuid.uuid4().hex[:8]}"
        spec = LaunchSpec(name, self.scope, self.target(variant), template.prepared, 90)
        instance = await self.runtime.launch(spec, Timeline())
        async with asyncio.timeout(READY_SECONDS):
            await instance.ready()
        return instance


@pytest.fixture
async def bench(guest_dir: Path, images_dir: Path, tmp_path: Path) -> AsyncIterator[Bench]:
    """The runtime over this checkout's guest files and images."""
    settings = vms.settings(guest_dir, images_dir, tmp_path)
    runtime = open_microvm(settings)
    yield Bench(runtime, settings)
    await runtime.reap(Scope(settings.agent_id))
    await runtime.close()
    await asyncio.sleep(0)


async def asked(instance: QemuInstance, question: str) -> str:
    """What the keeper answers up to its full stop: a line's end may be that of the line before."""
    return (await instance.ask(question, " .", READY_SECONDS)).removesuffix(" .").strip()


@pytest.mark.parametrize("variant", CLONE_VARIANTS)
async def test_each_clone_is_its_own_machine(bench: Bench, variant: str) -> None:
    template = await bench.saved(variant)
    files = [path for path in template.prepared.paths if template.instance_id in str(path)]
    before = [hashlib.sha256(path.read_bytes()).digest() for path in files]
    one, other = [await bench.clone(variant, template) for _ in range(2)]

    assert await asked(one, "put secret") == "stored"
    assert await asked(one, "get") == "kept secret secret"
    assert await asked(other, "get") == "kept template template"
    late = await bench.clone(variant, template)
    assert await asked(late, "get") == "kept template template"
    assert [hashlib.sha256(path.read_bytes()).digest() for path in files] == before

    views = [each.processes() for each in (one, other, late)]
    assert len({view.vmm_pid for view in views}) == 3
    assert len({folder for view in views for folder in view.paths}) == 3
    # What was in the template's memory is in each, its name among it: docs/measuring.md says so.
    names = {await asked(each, "who") for each in (one, other)}
    assert names == {f"host {template.instance_id}"}


async def test_what_clones_of_a_shared_memory_do_not_write_they_hold_once(bench: Bench) -> None:
    template = await bench.saved("shared-ram")
    clones = [await bench.clone("shared-ram", template)]
    alone = guest_ram_bytes(clones)
    clones += [await bench.clone("shared-ram", template) for _ in range(3)]
    assert all("share=off" in " ".join(cmdline(c.processes().vmm_pid or 0)) for c in clones)
    assert guest_ram_bytes(clones) < 0.75 * len(clones) * alone


def guest_ram_bytes(instances: Sequence[QemuInstance]) -> float:
    """The memory that these guests have in use, each page once."""
    found = VmmOverhead(Roots()).read([each.processes() for each in instances])
    assert isinstance(found, Reading)
    return found.values["guest_ram_bytes"]


async def test_a_whole_server_is_restored_with_disks_of_its_own(
    guest_dir: Path, images_dir: Path, debian_disk: Path, tmp_path: Path
) -> None:
    assert debian_disk.parent.parent == guest_dir
    settings = vms.settings(guest_dir, images_dir, tmp_path)
    runtime = open_full(settings)
    target = Target("t", "qemu-full", "shared-ram", Mode.RESTORE, Network.NONE, IDLE, 512 << 20)
    scope = Scope(settings.agent_id, "run")
    try:
        template = await runtime.snapshot(target, await runtime.prepare(IDLE), scope)
        clones = []
        for name in ("one", "other"):
            timeline = Timeline()
            spec = LaunchSpec(name, scope, target, template.prepared, 90)
            clones.append(await runtime.launch(spec, timeline))
            async with asyncio.timeout(READY_SECONDS):
                await clones[-1].ready()
            assert timeline.in_order()
            assert await clones[-1].answers()
        one, other = clones
        folders = {folder for each in clones for folder in each.processes().paths}
        disks = {path for folder in folders for path in folder.glob("*.qcow2")}
        assert {path.name for path in disks} == {"root.qcow2", "workload.qcow2"}
        assert (len(folders), len(disks)) == (2, 4)
        assert await one.ask("mark only-here", "TONNAGE MARKED only-here", READY_SECONDS)
        assert "only-here" in await one.ask("facts", "TONNAGE END", READY_SECONDS)
        assert "only-here" not in await other.ask("facts", "TONNAGE END", READY_SECONDS)
    finally:
        left = await runtime.reap(scope)
        await runtime.close()
    assert set(left) == {"one", "other", template.instance_id}


def living(agent_id: str) -> int:
    """How many VMs of that agent live."""
    return len(vmm.find(agent_prefix(agent_id)))


async def test_a_run_restores_and_an_agent_killed_beside_its_template_leaves_nothing(
    guest_dir: Path, images_dir: Path, tmp_path: Path
) -> None:
    places = ("--guest-dir", str(guest_dir), "--images-dir", str(images_dir))
    flags = ("--runtimes", "qemu-microvm", *places)
    targets = [
        Target("clones", "qemu-microvm", "shared-ram", Mode.RESTORE, Network.NONE, IDLE, 128 << 20)
    ]
    stage = Stage("startup", StartupStage((TargetTrials("clones", 3),), 0, (1,), READY_SECONDS))
    given = replace(plan(stage, targets=targets), time_limit_seconds=140.0)
    instances = tmp_path / "runtimes/qemu-microvm/instances"
    async with agent(tmp_path, *flags) as host:
        await host.start(given)
        async with asyncio.timeout(60):
            while not any(instances.glob("*/template-*/ram")):  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.05)
        await host.kill()
    (agent_id,) = [folder.name for folder in instances.iterdir()]
    (first,) = [folder.name for folder in instances.glob("*/template-*")]
    assert living(agent_id) == 1  # the template, in the middle of its boot

    async with agent(tmp_path, *flags) as host:
        events = await host.events(given.run_id)
        assert await host.stop() == 0
    assert finished(events).state is RunState.FINISHED, finished(events)
    assert (finished(events).removed, finished(events).leaked) == ((), ())
    (snapshot,) = payloads(events, Snapshot)
    assert (snapshot.target_id, snapshot.variant) == ("clones", "shared-ram")
    assert snapshot.state_bytes > 1 << 20
    trials = payloads(events, Trial)
    assert [trial.outcome for trial in trials] == [Outcome.READY] * 3
    assert all(0 < t.created_ns < t.restored_ns < t.ready_ns for t in trials)
    assert list(instances.glob("*/*")) == [], first
    assert living(agent_id) == 0
