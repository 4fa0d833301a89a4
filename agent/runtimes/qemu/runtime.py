"""Virtual machines by QEMU as a runtime; what kind of machines, its profile says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.clock import Timeline
from agent.errors import RuntimeUnavailable
from agent.process import Identity
from agent.runtimes.base import Capabilities, LaunchSpec, Prepared, Scope, Template
from agent.runtimes.demands import check_target, check_workload
from agent.runtimes.image_cache import ImageCache
from agent.runtimes.programs import place_of, program_files
from agent.runtimes.qemu import vmm
from agent.runtimes.qemu.equipment import Equipment, Lack, detect
from agent.runtimes.qemu.firmware import own_files
from agent.runtimes.qemu.instance import QemuInstance
from agent.runtimes.qemu.launching import Launcher, bootable_of
from agent.runtimes.qemu.machine import PROGRAM
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.profile import Profile
from agent.runtimes.qemu.recovered import RecoveredInstance
from agent.runtimes.qemu.templates import save_template
from agent.runtimes.reaping import destroy_all
from agent.runtimes.records import Record
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import (
    Fingerprint,
    Mode,
    RuntimeState,
    Target,
    Workload,
)


class QemuRuntime:
    """VMs of one profile. Their console is a serial line; QMP is their control channel."""

    def __init__(self, settings: RuntimeSettings, profile: Profile, places: Places) -> None:
        self._settings = settings
        self._profile = profile
        self._places = places
        self._guests = ImageCache(places.guests, settings.image_cache_seconds)
        self._detecting = asyncio.Lock()
        self._preparing = asyncio.Lock()
        self._equipment: Equipment | None = None
        self._launcher = Launcher(settings.agent_id, profile, places)

    @property
    def name(self) -> str:
        return self._profile.name

    @property
    def capabilities(self) -> Capabilities:
        return self._profile.capabilities

    async def fingerprint(self) -> Fingerprint:
        found = await self._equip()
        if isinstance(found, Lack):
            return Fingerprint(self.name, found.state, found.reason)
        offers, caution = self._profile.offers(), self._profile.caution()
        boots = f"QEMU {found.qemu_version} boots {found.kernel_version or found.files.kernel}"
        return Fingerprint(
            self.name,
            RuntimeState.HEALTHY,
            f"{boots}; {caution}" if caution else boots,
            version=found.qemu_version,
            accelerator=found.verdict.accelerator,
            accelerator_proof=found.verdict.proof,
            variants=offers.variants,
            networks=offers.networks,
            modes=tuple(Mode(mode) for mode in offers.modes),
            readiness=offers.readiness,
            components={"qemu": found.qemu_version, "guest_kernel": found.kernel_version},
        )

    async def prepare(self, workload: Workload) -> Prepared:
        check_workload(workload, self.capabilities)
        found = await self._equip()
        if isinstance(found, Lack):
            raise RuntimeUnavailable(found.reason, field="runtime", value=self.name)
        async with self._preparing:
            prepared = await self._profile.prepare(workload, found)
            await asyncio.to_thread(self._keep, prepared)
        return prepared

    def _keep(self, prepared: Prepared) -> None:
        """Note that it is used, and remove what was made for others and is not any more."""
        bootable = bootable_of(prepared)
        try:
            self._guests.use((*prepared.paths, bootable.with_card, *bootable.overlays.values()))
        except FileNotFoundError as error:
            raise RuntimeUnavailable(
                f"the guest was removed while it was made: {error}",
                field="workload.image",
                value=prepared.workload.image,
                remedy="Run it again.",
            ) from error
        self._guests.prune()

    async def launch(self, spec: LaunchSpec, timeline: Timeline) -> QemuInstance:
        check_target(spec.target, self.capabilities)
        self._profile.check(spec.target)
        if spec.target.mode is Mode.RESTORE:
            return await self._launcher.restore(spec, timeline)
        return await self._launcher.boot(spec, timeline)

    async def snapshot(self, target: Target, prepared: Prepared, scope: Scope) -> Template:
        check_target(target, self.capabilities)
        self._profile.check(target)
        return await save_template(self._launcher, self._places, target, prepared, scope)

    async def recover(self, instance_id: str) -> RecoveredInstance | None:
        name = self._launcher.process_name(instance_id)
        found = await asyncio.to_thread(vmm.find, name)
        record = self._places.read(instance_id)
        if record is None and name not in found:
            return None
        return self._recovered(name, record or Record(instance_id, "", {}), found)

    async def reap(self, scope: Scope) -> Sequence[str]:
        if scope.agent_id != self._settings.agent_id:
            return []
        return await destroy_all(await self._remains(scope.run_id))

    def start_files(self, target: Target, prepared: Prepared) -> Sequence[Path]:
        """What it boots from (firmware: the disk alone) and the empty disks that it copies;
        QEMU with its libraries and firmware, and what is executed before it."""
        bootable = bootable_of(prepared)
        spec = LaunchSpec("", Scope(self._settings.agent_id), target, prepared, 0)
        machine = self._profile.machine(spec, bootable, tuple(bootable.overlays.values()))
        unread = () if machine.boot is not None else (bootable.kernel, bootable.initramfs)
        return (
            *(path for path in prepared.paths_for(target) if path not in unread),
            *machine.drives,
            *program_files(vmm.NEEDED_PROGRAMS),
            *own_files(machine, place_of(PROGRAM)),
        )

    def engine_pids(self) -> Sequence[int]:
        return ()

    async def close(self) -> None:
        self._launcher.let_go()

    async def _remains(self, run_id: str) -> list[RecoveredInstance]:
        """Whatever is left of this agent's instances: of that run, or of all if it is empty.

        A VM whose folder is lost belongs to no run that could be told.
        """
        prefix = self._launcher.process_name("")
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
            if isinstance(found, Equipment) and (lack := self._profile.lack()):
                return Lack(RuntimeState.UNHEALTHY, lack)
            if isinstance(found, Equipment):
                self._equipment = found
            return found
