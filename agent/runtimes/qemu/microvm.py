"""The runtime ``qemu-microvm``: a kernel of its own and next to nothing besides.

The guest's file system is the workload's image, unpacked into memory by the
kernel; the console is the only way in and out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agent.runtimes.base import Capabilities, LaunchSpec, Prepared
from agent.runtimes.qemu.equipment import Equipment
from agent.runtimes.qemu.guest import INIT_LINE
from agent.runtimes.qemu.images import ImageStore
from agent.runtimes.qemu.machine import Machine, microvm
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.profile import Bootable
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import CLONE_VARIANTS, Workload

NAME = "qemu-microvm"
_CAPABILITIES = Capabilities(
    variants=("direct", *CLONE_VARIANTS), modes=("warm", "cold", "restore"), takes_parent_group=True
)


class Microvm:
    """QEMU's microvm machine, from an initramfs."""

    name = NAME
    capabilities = _CAPABILITIES
    workload_line = INIT_LINE

    def __init__(self, settings: RuntimeSettings, places: Places) -> None:
        self._settings = settings
        self._places = places
        self._images: ImageStore | None = None

    def lack(self) -> str:
        return ""

    async def prepare(self, workload: Workload, equipment: Equipment) -> Prepared:
        guest = await self._store(equipment).guest(workload)
        bootable = Bootable(equipment.files.kernel, guest.initramfs, equipment.verdict.accelerator)
        return Prepared(workload, guest.digest, (bootable.kernel, guest.initramfs), bootable)

    def machine(self, spec: LaunchSpec, bootable: Bootable, drives: tuple[Path, ...]) -> Machine:
        machine = microvm(
            bootable.kernel,
            bootable.initramfs,
            hostname=spec.instance_id,
            memory_bytes=spec.target.memory_bytes,
            cpus=spec.target.cpus,
            accelerator=bootable.accelerator,
        )
        return replace(machine, drives=drives)

    def _store(self, equipment: Equipment) -> ImageStore:
        if self._images is None:
            settings = self._settings
            self._images = ImageStore(
                self._places, equipment.files.busybox, settings.images_dir, settings.docker_host
            )
        return self._images
