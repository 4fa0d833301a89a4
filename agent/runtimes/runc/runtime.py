"""The runtime ``runc``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from weakref import WeakSet

from agent.clock import Mark, Timeline
from agent.errors import LaunchFailed, RuntimeUnavailable
from agent.process import Identity
from agent.runtimes import cgroups
from agent.runtimes.base import Capabilities, LaunchSpec, Prepared, Scope
from agent.runtimes.demands import check_target, check_workload
from agent.runtimes.oci import container_spec
from agent.runtimes.programs import program_files
from agent.runtimes.reaping import destroy_all
from agent.runtimes.records import Record
from agent.runtimes.registry import RuntimeSettings
from agent.runtimes.runc import keeper, overlay
from agent.runtimes.runc.appearing import renamed_into
from agent.runtimes.runc.bundles import Bundles
from agent.runtimes.runc.groups import Groups
from agent.runtimes.runc.health import Equipment, Lack, detect
from agent.runtimes.runc.instance import Launched, RuncInstance
from agent.runtimes.runc.recovered import RecoveredContainer
from agent.runtimes.runc.remains import Remains
from agent.runtimes.runc.rootfs import RootfsStore, Runnable
from tonnage.model import (
    ConsoleHealth,
    Fingerprint,
    LogReadiness,
    Mode,
    RuntimeState,
    Target,
    Workload,
)

NAME = "runc"
REMOVALS_AT_ONCE = 4


class RuncRuntime:
    """Containers started by ``runc run`` on bundles that were prepared beforehand.

    The name of each is ``tonnage.AGENT.ID``: no instance id has a dot, so no name of one
    agent begins as those of another do.
    """

    capabilities = Capabilities(modes=("warm", "cold"), takes_parent_group=True)

    def __init__(self, settings: RuntimeSettings) -> None:
        self._agent_id = settings.agent_id
        self._prefix = f"tonnage.{settings.agent_id}."
        self._bundles = Bundles(settings.state_dir.absolute() / NAME, settings.agent_id)
        self._rootfs = RootfsStore(self._bundles, settings)
        self._groups = Groups()
        self._rules = cgroups.rules()
        self._detecting = asyncio.Lock()
        self._equipment: Equipment | None = None
        self._held: WeakSet[RuncInstance] = WeakSet()

    @property
    def name(self) -> str:
        return NAME

    async def fingerprint(self) -> Fingerprint:
        found = await self._equip()
        if isinstance(found, Lack):
            return Fingerprint(NAME, found.state, found.reason)
        offers = self.capabilities
        return Fingerprint(
            NAME,
            RuntimeState.HEALTHY,
            f"{found.runc} runs containers without an engine",
            version=found.versions["runc"],
            variants=offers.variants,
            networks=offers.networks,
            modes=tuple(Mode(mode) for mode in offers.modes),
            readiness=offers.readiness,
            components=dict(found.versions),
        )

    async def prepare(self, workload: Workload) -> Prepared:
        check_workload(workload, self.capabilities)
        await self._equipped()
        runnable = await self._rootfs.runnable(workload)
        return Prepared(workload, runnable.digest, (runnable.rootfs,), runnable)

    def start_files(self, target: Target, prepared: Prepared) -> Sequence[Path]:
        """The image's files, runc and its keepers' programs."""
        return (*prepared.paths_for(target), *program_files(keeper.PROGRAMS))

    async def launch(self, spec: LaunchSpec, timeline: Timeline) -> RuncInstance:
        check_target(spec.target, self.capabilities)
        runnable = spec.prepared.payload
        if not isinstance(runnable, Runnable):
            raise TypeError(f"prepared by another runtime: {runnable!r}")
        remains = await self._new(spec)
        try:
            return await self._start(spec, runnable, remains, timeline)
        except OSError as error:
            await remains.kill()
            await remains.remove()
            raise LaunchFailed(f"runc could not be started: {error}") from error

    async def _start(
        self, spec: LaunchSpec, runnable: Runnable, remains: Remains, timeline: Timeline
    ) -> RuncInstance:
        """Write the record and the bundle, mount, start. Raises ``OSError``."""
        bundle = self._bundles.write(remains.record)
        overlay.mount(runnable.rootfs, bundle)
        self._write_config(spec, runnable, remains)
        order = keeper.Order(
            remains.runc,
            self._bundles.state,
            bundle,
            remains.container,
            spec.lifetime_seconds,
            asked=isinstance(spec.target.workload.health, ConsoleHealth),
        )
        with renamed_into(bundle) as pid_written:
            kept = keeper.start(order)
            timeline.mark(Mark.ACCEPTED)
            instance = RuncInstance(_launched(spec, remains, order), kept, timeline)
            self._held.add(instance)
            try:
                await instance.created(pid_written)
            except BaseException:
                await instance.destroy()
                raise
        return instance

    def _write_config(self, spec: LaunchSpec, runnable: Runnable, remains: Remains) -> None:
        config = container_spec(
            runnable.process,
            spec.target,
            root=overlay.MERGED,
            hostname=spec.instance_id,
            cgroups_path=self._groups.path(remains.container, spec.cgroup_parent),
            rules=self._rules,
        )
        (self._bundles.folder(spec.instance_id) / "config.json").write_text(json.dumps(config))

    async def recover(self, instance_id: str) -> RecoveredContainer | None:
        name = self._prefix + instance_id
        found = await asyncio.to_thread(keeper.find, name)
        if self._bundles.read(instance_id) is None and name not in found:
            return None
        return await self._recovered(instance_id, found)

    async def reap(self, scope: Scope) -> Sequence[str]:
        if scope.agent_id != self._agent_id:
            return []
        return await destroy_all(await self._left(scope.run_id), REMOVALS_AT_ONCE)

    def engine_pids(self) -> Sequence[int]:
        return ()

    async def close(self) -> None:
        for instance in tuple(self._held):
            instance.let_go()

    async def _left(self, run_id: str) -> list[RecoveredContainer]:
        """Whatever is left of this agent's containers: of that run, or of all if it is empty.

        One whose folder is lost belongs to no run that could be told.
        """
        found = await asyncio.to_thread(keeper.find, self._prefix)
        ids = {name.removeprefix(self._prefix) for name in found} | set(self._bundles.known())
        left = []
        for instance_id in sorted(ids):
            record = self._bundles.read(instance_id)
            if run_id in ("", record.run_id if record is not None else ""):
                left.append(await self._recovered(instance_id, found))
        return left

    async def _recovered(
        self, instance_id: str, found: Mapping[str, tuple[Identity, ...]]
    ) -> RecoveredContainer:
        """A container by its id: as its record says, else as its name does."""
        name = self._prefix + instance_id
        record = self._bundles.read(instance_id)
        if record is None or not record.cgroups:
            record = Record(instance_id, "", self._groups.folders(name))
        remains = Remains(name, record, self._bundles, (await self._equipped()).runc)
        return RecoveredContainer(remains, found.get(name, ()))

    async def _new(self, spec: LaunchSpec) -> Remains:
        """What there may soon be of a container that is to be launched."""
        name = self._prefix + spec.instance_id
        folders = self._groups.folders(name, spec.cgroup_parent)
        record = Record(spec.instance_id, spec.scope.run_id, folders)
        return Remains(name, record, self._bundles, (await self._equipped()).runc)

    async def _equip(self) -> Equipment | Lack:
        """What the host has; looked for once, and again as long as something lacks."""
        async with self._detecting:
            if self._equipment is not None:
                return self._equipment
            found = await detect(self._bundles, self._groups)
            if isinstance(found, Equipment):
                self._equipment = found
            return found

    async def _equipped(self) -> Equipment:
        found = await self._equip()
        if isinstance(found, Lack):
            raise RuntimeUnavailable(found.reason, field="runtime", value=NAME)
        return found


def _launched(spec: LaunchSpec, remains: Remains, order: keeper.Order) -> Launched:
    workload = spec.target.workload
    if not isinstance(workload.readiness, LogReadiness):
        raise TypeError(f"refused beforehand: {workload.readiness!r}")
    return Launched(remains, order.command(), workload.readiness.line, workload.health)
