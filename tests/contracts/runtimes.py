"""The runtimes under the conformance suite, and what each must be given to show a behaviour."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.clock import Timeline
from agent.runtimes.base import Instance, LaunchSpec, Prepared, Runtime, Scope
from agent.runtimes.registry import RuntimeSettings, open_runtimes
from tonnage.model import (
    ConsoleHealth,
    LogReadiness,
    Mode,
    Network,
    Target,
    Workload,
)

READY_LINE = "TONNAGE READY"
IDLE = Workload(
    name="idle",
    image="tonnage/idle:1",
    readiness=LogReadiness(READY_LINE),
    health=ConsoleHealth("ping", "pong"),
)


@dataclass(frozen=True)
class Kind:
    """One runtime: how its workloads behave as asked, and how patient one must be.

    ``real`` runtimes have processes, and a console to quote. ``needs`` names the
    fixtures that its settings come from, ``requires`` those that only look whether this
    machine can run it. A kind that ``boots_slowly`` is not waited for where a test
    asks nothing of the workload.
    """

    name: str
    idle: Workload
    failing: Workload
    hanging: Workload
    missing: Workload
    real: bool = True
    ready_seconds: float = 30.0
    needs: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    memory_bytes: int = 128 << 20
    tells_boot_id: bool = True
    boots_slowly: bool = False


def _real(
    name: str, needs: tuple[str, ...], ready_seconds: float, requires: tuple[str, ...] = ()
) -> Kind:
    return Kind(
        name=name,
        idle=IDLE,
        failing=replace(IDLE, command=("/bin/sh", "-c", "echo broken heart; exit 3")),
        hanging=replace(IDLE, command=("/bin/sh", "-c", "echo not yet; exec sleep 1000")),
        missing=replace(IDLE, image="tonnage/no-such-image:1"),
        needs=needs,
        requires=requires,
        ready_seconds=ready_seconds,
    )


def _fake() -> Kind:
    durable: Mapping[str, str] = {"FAKE_DURABLE": "1", "FAKE_CREATE_MS": "2", "FAKE_READY_MS": "5"}
    idle = replace(IDLE, image="fake:ok", environment=durable)
    return Kind(
        name="fake",
        idle=idle,
        failing=replace(idle, image="fake:fail"),
        hanging=replace(idle, image="fake:hang"),
        missing=replace(idle, image="fake:missing"),
        real=False,
    )


KINDS = {
    "fake": _fake(),
    "docker": _real("docker", ("docker_host",), ready_seconds=30.0),
    # gVisor's kernel has no /proc/sys/kernel/random/boot_id.
    "docker-runsc": replace(
        _real("docker-runsc", ("docker_host",), 30.0, requires=("runsc",)), tells_boot_id=False
    ),
    "podman": _real("podman", ("podman_host",), ready_seconds=30.0),
    "containerd": _real("containerd", ("containerd_address", "images_dir"), ready_seconds=30.0),
    "runc": _real("runc", ("images_dir",), ready_seconds=30.0),
    "qemu-microvm": _real("qemu-microvm", ("guest_dir", "images_dir"), ready_seconds=50.0),
    "qemu-full": replace(
        _real("qemu-full", ("guest_dir", "images_dir"), 150.0, requires=("debian_disk",)),
        memory_bytes=512 << 20,
        boots_slowly=True,
    ),
}


@dataclass
class Stand:
    """One test's runtime, its settings, and what it launched."""

    kind: Kind
    runtime: Runtime
    settings: RuntimeSettings
    run_id: str
    others: list[Runtime] = field(default_factory=list)
    launched: list[Instance] = field(default_factory=list)
    _count: int = 0

    @property
    def scope(self) -> Scope:
        """This test's agent and run."""
        return Scope(self.settings.agent_id, self.run_id, "trial-1")

    @property
    def other_agent(self) -> str:
        """The id of an agent that has nothing to do with this test's."""
        return f"{self.settings.agent_id}-other"

    def instance_id(self) -> str:
        """One that nobody else uses."""
        self._count += 1
        return f"{self.run_id}-{self._count}"

    def another(self, agent_id: str | None = None) -> Runtime:
        """A second runtime object over the same host: another process, or another agent."""
        settings = replace(self.settings, agent_id=agent_id or self.settings.agent_id)
        (runtime,) = open_runtimes([self.kind.name], settings)
        self.others.append(runtime)
        return runtime

    def spec(
        self, prepared: Prepared, scope: Scope | None = None, instance_id: str = ""
    ) -> LaunchSpec:
        """A launch of what was prepared, with no network."""
        target = Target(
            id="target",
            runtime=self.kind.name,
            variant=self.runtime.capabilities.variants[0],
            mode=Mode.WARM,
            network=Network.NONE,
            workload=prepared.workload,
            memory_bytes=self.kind.memory_bytes,
        )
        name = instance_id or self.instance_id()
        return LaunchSpec(name, scope or self.scope, target, prepared, lifetime_seconds=120.0)

    async def launch(
        self,
        workload: Workload | None = None,
        timeline: Timeline | None = None,
        runtime: Runtime | None = None,
        scope: Scope | None = None,
    ) -> Instance:
        """Prepare and launch; the idle workload unless told otherwise."""
        runtime = runtime or self.runtime
        prepared = await runtime.prepare(workload or self.kind.idle)
        instance = await runtime.launch(self.spec(prepared, scope), timeline or Timeline())
        self.launched.append(instance)
        return instance

    async def ready(self, timeline: Timeline | None = None) -> Instance:
        """Launch the idle workload and wait until it is ready."""
        instance = await self.launch(timeline=timeline)
        await self.wait_ready(instance)
        return instance

    async def running(self, timeline: Timeline | None = None) -> Instance:
        """Launch the idle workload; wait until it is ready unless that takes long.

        For what holds of an instance from the moment its launch returned.
        """
        return await (self.launch if self.kind.boots_slowly else self.ready)(timeline=timeline)

    async def wait_ready(self, instance: Instance) -> None:
        """Wait as long as this kind may need."""
        async with asyncio.timeout(self.kind.ready_seconds):
            await instance.ready()

    async def close(self) -> None:
        """Remove what is left, by its object and by its agent; let go of every runtime."""
        for instance in self.launched:
            await instance.destroy()
        for agent in (self.settings.agent_id, self.other_agent):
            await self.another(agent).reap(Scope(agent))
        for runtime in (*self.others, self.runtime):
            await runtime.close()


def settings_for(
    kind: Kind, given: Mapping[str, Any], agent_id: str, state_dir: Path
) -> RuntimeSettings:
    """Settings from the fixtures that a kind needs."""
    settings = RuntimeSettings(agent_id=agent_id, state_dir=state_dir)
    return replace(settings, **{name: given[name] for name in kind.needs})
