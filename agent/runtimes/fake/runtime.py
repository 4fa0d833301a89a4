"""The fake runtime: keeps its instances, or finds them again as files."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.clock import Mark, Timeline
from agent.errors import (
    InvalidInput,
    LaunchFailed,
    RuntimeUnavailable,
)
from agent.runtimes.base import Capabilities, Instance, LaunchSpec, Prepared, Scope, Template
from agent.runtimes.fake.behaviour import Behaviour
from agent.runtimes.fake.instance import FakeInstance
from agent.runtimes.fake.workloads import Workloads
from agent.runtimes.reaping import destroy_all
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import (
    CLONE_VARIANTS,
    ConsoleHealth,
    Fingerprint,
    Mode,
    Network,
    RuntimeState,
    Target,
    Workload,
)


class FakeRuntime:
    """Launches instances that are nothing but words."""

    name = "fake"
    capabilities = Capabilities(
        networks=(Network.NONE, Network.BRIDGE),
        readiness=("log", "tcp", "http"),
        health=("console", "http"),
        takes_memory=False,
        variants=("default", *CLONE_VARIANTS),
        modes=("warm", "cold", "restore"),
    )

    def __init__(self, settings: RuntimeSettings) -> None:
        self._folder = settings.state_dir / "fake"
        self._agent_id = settings.agent_id
        self._instances: dict[str, FakeInstance] = {}
        self._workloads = Workloads()

    async def fingerprint(self) -> Fingerprint:
        return Fingerprint(
            runtime=self.name,
            state=RuntimeState.HEALTHY,
            reason="it launches nothing real",
            version="1",
            variants=self.capabilities.variants,
            networks=self.capabilities.networks,
            modes=tuple(Mode(mode) for mode in self.capabilities.modes),
            readiness=self.capabilities.readiness,
        )

    async def prepare(self, workload: Workload) -> Prepared:
        behaviour = Behaviour.of(workload)
        digest = hashlib.sha256(workload.image.encode()).hexdigest()
        return Prepared(workload, f"sha256:{digest}", payload=behaviour)

    async def launch(self, spec: LaunchSpec, timeline: Timeline) -> Instance:
        behaviour = _behaviour(spec.prepared)
        self._admit(spec, behaviour)
        instance = self._hold(spec.instance_id, spec.scope, behaviour, timeline)
        try:
            await instance.boot()
        except BaseException:
            self._forget(spec.instance_id)
            self._file(spec.instance_id).unlink(missing_ok=True)
            self._file(spec.instance_id).with_suffix(".new").unlink(missing_ok=True)
            raise
        if spec.target.mode is Mode.RESTORE:
            timeline.mark(Mark.RESTORED)
        return instance

    async def snapshot(self, target: Target, prepared: Prepared, scope: Scope) -> Template:
        """What is saved is the file of an instance that has ended."""
        if not isinstance(target.workload.health, ConsoleHealth):
            raise InvalidInput("what is restored must be asked", field="workload.health")
        behaviour = replace(_behaviour(prepared), durable=True)
        name, began = f"template-{secrets.token_hex(6)}", time.monotonic()
        instance = self._hold(name, scope, behaviour, Timeline())
        try:
            await instance.boot()
            await instance.ready()
            await instance.stop(0)
        except BaseException:
            await instance.destroy()
            raise
        file = self._file(name)
        saved = replace(_behaviour(prepared), saved=file)
        seconds = time.monotonic() - began
        return Template(replace(prepared, payload=saved), name, file.stat().st_size, seconds)

    def _admit(self, spec: LaunchSpec, behaviour: Behaviour) -> None:
        if behaviour.kind == "gone":
            raise RuntimeUnavailable("the fake engine is gone", remedy="Use another image.")
        if spec.target.mode is Mode.RESTORE and not (behaviour.saved and behaviour.saved.exists()):
            raise LaunchFailed("the fake snapshot is gone")
        if spec.instance_id in self._instances:
            raise LaunchFailed(f"instance {spec.instance_id} exists already")
        if spec.target.memory_bytes < behaviour.needs_mib * (1 << 20):
            raise LaunchFailed(f"the fake guest needs {behaviour.needs_mib:g} MiB of memory")
        if behaviour.capacity and self._count_alive() >= behaviour.capacity:
            raise LaunchFailed(
                f"the fake host is full: {behaviour.capacity} instances are alive",
                remedy="Raise FAKE_CAPACITY.",
            )

    def _count_alive(self) -> int:
        return sum(instance.is_alive for instance in self._instances.values())

    async def recover(self, instance_id: str) -> Instance | None:
        if instance_id in self._instances:
            return self._instances[instance_id]
        self._file(instance_id).with_suffix(".new").unlink(missing_ok=True)
        scope = self._scope_of(self._file(instance_id))
        if scope is None or scope.agent_id != self._agent_id:
            return None
        return self._adopt(instance_id, scope)

    async def reap(self, scope: Scope) -> Sequence[str]:
        return await destroy_all(self._owned_by(scope))

    def _owned_by(self, scope: Scope) -> list[FakeInstance]:
        for file in self._folder.glob("*.json") if self._folder.is_dir() else ():
            owner = self._scope_of(file)
            if owner is not None and file.stem not in self._instances:
                self._adopt(file.stem, owner)
        return [
            instance
            for instance in self._instances.values()
            if instance.scope.agent_id == scope.agent_id
            and scope.run_id in ("", instance.scope.run_id)
        ]

    def _adopt(self, instance_id: str, scope: Scope) -> FakeInstance:
        """Take hold of a durable instance of an earlier process."""
        return self._hold(instance_id, scope, Behaviour(durable=True), Timeline())

    def _hold(
        self, instance_id: str, scope: Scope, behaviour: Behaviour, timeline: Timeline
    ) -> FakeInstance:
        file = self._file(instance_id)
        instance = FakeInstance(
            instance_id, scope, behaviour, timeline, file, self._forget, self._workloads
        )
        self._instances[instance_id] = instance
        return instance

    def _forget(self, instance_id: str) -> None:
        self._instances.pop(instance_id, None)

    def _file(self, instance_id: str) -> Path:
        return self._folder / f"{instance_id}.json"

    @staticmethod
    def _scope_of(file: Path) -> Scope | None:
        try:
            owner = json.loads(file.read_text())
        except (OSError, ValueError):
            return None
        return Scope(owner["agent_id"], owner["run_id"])

    def start_files(self, target: Target, prepared: Prepared) -> Sequence[Path]:
        """Those that the workload names in ``FAKE_READS``, as in a PATH."""
        del prepared
        return Behaviour.of(target.workload).reads

    def engine_pids(self) -> Sequence[int]:
        return ()

    async def close(self) -> None:
        """Nothing is held open."""


def _behaviour(prepared: Prepared) -> Behaviour:
    if not isinstance(prepared.payload, Behaviour):
        raise InvalidInput("the workload was prepared by another runtime", field="prepared")
    return prepared.payload
