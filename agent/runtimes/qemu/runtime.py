"""The runtime ``qemu-microvm``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

from agent.clock import Mark, Timeline
from agent.errors import InstanceLeaked, LaunchFailed, RuntimeUnavailable, all_leaked
from agent.process import Identity
from agent.runtimes.base import Capabilities, LaunchSpec, Prepared, Scope
from agent.runtimes.qemu import cgroups, vmm
from agent.runtimes.qemu.demands import CAPABILITIES, check_target, check_workload
from agent.runtimes.qemu.equipment import Equipment, Lack, detect
from agent.runtimes.qemu.images import ImageStore
from agent.runtimes.qemu.instance import Launched, QemuInstance
from agent.runtimes.qemu.machine import Machine, process_name
from agent.runtimes.qemu.places import Places, Record
from agent.runtimes.qemu.recovered import RecoveredInstance
from agent.runtimes.qemu.removal import remove_remains
from agent.runtimes.qemu.starting import Started, start
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import (
    Accelerator,
    Fingerprint,
    LogReadiness,
    Mode,
    RuntimeState,
    Workload,
)

NAME = "qemu-microvm"


@dataclass(frozen=True, slots=True)
class Bootable:
    """What ``Prepared.payload`` holds: all that a launch takes from its preparation."""

    kernel: Path
    initramfs: Path
    accelerator: Accelerator


class QemuMicrovm:
    """QEMU's microvm machine: a VM with a kernel of its own and next to no devices.

    The guest's file system is the workload's image, unpacked into memory by the
    kernel; the console is the only way in and out.
    """

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self._places = Places(settings.state_dir.absolute() / NAME, settings.agent_id)
        self._groups = cgroups.parents()
        self._detecting = asyncio.Lock()
        self._equipment: Equipment | None = None
        self._images: ImageStore | None = None
        self._held: WeakSet[QemuInstance] = WeakSet()

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def fingerprint(self) -> Fingerprint:
        found = await self._equip()
        if isinstance(found, Lack):
            return Fingerprint(NAME, found.state, found.reason)
        return Fingerprint(
            NAME,
            RuntimeState.HEALTHY,
            f"QEMU {found.qemu_version} boots {found.kernel_version or found.files.kernel}",
            version=found.qemu_version,
            accelerator=found.verdict.accelerator,
            accelerator_proof=found.verdict.proof,
            variants=CAPABILITIES.variants,
            networks=CAPABILITIES.networks,
            modes=tuple(Mode(mode) for mode in CAPABILITIES.modes),
            readiness=CAPABILITIES.readiness,
            components={"qemu": found.qemu_version, "guest_kernel": found.kernel_version},
        )

    async def prepare(self, workload: Workload) -> Prepared:
        check_workload(workload)
        found = await self._equip()
        if isinstance(found, Lack):
            raise RuntimeUnavailable(found.reason, field="runtime", value=NAME)
        guest = await self._image_store(found).guest(workload)
        bootable = Bootable(found.files.kernel, guest.initramfs, found.verdict.accelerator)
        paths = (bootable.kernel, bootable.initramfs)
        return Prepared(workload, guest.digest, paths, bootable)

    async def launch(self, spec: LaunchSpec, timeline: Timeline) -> QemuInstance:
        check_target(spec.target)
        bootable = spec.prepared.payload
        if not isinstance(bootable, Bootable):
            raise TypeError(f"prepared by another runtime: {bootable!r}")
        groups = {key: folder / self._group(spec) for key, folder in self._groups.items()}
        record = Record(spec.instance_id, spec.scope.run_id, groups)
        try:
            started = self._start(spec, bootable, record)
        except OSError as error:
            await remove_remains(self._places, record)
            raise LaunchFailed(f"the VMM could not be started: {error}") from error
        timeline.mark(Mark.ACCEPTED)
        instance = QemuInstance(_launched(spec, record), started, self._places, timeline)
        self._held.add(instance)
        try:
            await instance.created()
        except BaseException:
            await instance.destroy()
            raise
        return instance

    async def recover(self, instance_id: str) -> RecoveredInstance | None:
        name = process_name(self._settings.agent_id, instance_id)
        found = await asyncio.to_thread(vmm.find, name)
        record = self._places.read(instance_id)
        if record is None and name not in found:
            return None
        return self._recovered(name, record or Record(instance_id, "", {}), found)

    async def reap(self, scope: Scope) -> Sequence[str]:
        if scope.agent_id != self._settings.agent_id:
            return []
        removed: list[str] = []
        leaks: dict[str, InstanceLeaked] = {}
        for instance in await self._remains(scope.run_id):
            try:
                await instance.destroy()
                removed.append(instance.id)
            except InstanceLeaked as leak:
                leaks[instance.id] = leak
        if leaks:
            raise all_leaked(leaks)
        return removed

    def engine_pids(self) -> Sequence[int]:
        return ()

    async def close(self) -> None:
        for instance in tuple(self._held):
            instance.let_go()

    async def _remains(self, run_id: str) -> list[RecoveredInstance]:
        """Whatever is left of this agent's instances: of that run, or of all if it is empty.

        A VM whose folder is lost belongs to no run that could be told.
        """
        prefix = process_name(self._settings.agent_id, "")
        found = await asyncio.to_thread(vmm.find, prefix)
        ids = {name.removeprefix(prefix) for name in found} | set(self._places.known())
        records = [self._places.read(i) or Record(i, "", {}) for i in sorted(ids)]
        return [
            self._recovered(prefix + record.instance_id, record, found)
            for record in records
            if run_id in ("", record.run_id)
        ]

    def _recovered(
        self, name: str, record: Record, found: Mapping[str, tuple[Identity, ...]]
    ) -> RecoveredInstance:
        return RecoveredInstance(record, found.get(name, ()), self._places)

    async def _equip(self) -> Equipment | Lack:
        """What the host has; looked for once, and again as long as something lacks."""
        async with self._detecting:
            if self._equipment is not None:
                return self._equipment
            found = await detect(self._settings.guest_dir, self._places)
            if isinstance(found, Equipment):
                self._equipment = found
            return found

    def _image_store(self, equipment: Equipment) -> ImageStore:
        if self._images is None:
            settings = self._settings
            self._images = ImageStore(
                self._places, equipment.files.busybox, settings.images_dir, settings.docker_host
            )
        return self._images

    def _start(self, spec: LaunchSpec, bootable: Bootable, record: Record) -> Started:
        """Write the record, make the cgroups, start the VMM. Raises ``OSError``."""
        folder = self._places.write(record)
        cgroups.make(record.cgroups)
        machine = Machine(
            kernel=bootable.kernel,
            initramfs=bootable.initramfs,
            memory_bytes=spec.target.memory_bytes,
            cpus=spec.target.cpus,
            accelerator=bootable.accelerator,
            hostname=spec.instance_id,
        )
        return start(
            machine,
            process_name(self._settings.agent_id, spec.instance_id),
            lifetime_seconds=spec.lifetime_seconds,
            cgroup_folders=record.cgroups.values(),
            stderr=folder / "stderr",
        )

    def _group(self, spec: LaunchSpec) -> str:
        return f"tonnage-{self._settings.agent_id}-{spec.instance_id}"


def _launched(spec: LaunchSpec, record: Record) -> Launched:
    readiness = spec.target.workload.readiness
    return Launched(
        record=record,
        guest_ram_bytes=spec.target.memory_bytes,
        ready_line=readiness.line if isinstance(readiness, LogReadiness) else "",
        health=spec.target.workload.health,
    )
