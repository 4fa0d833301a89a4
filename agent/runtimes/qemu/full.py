"""The runtime ``qemu-full``: the traditional VM, a whole Debian with systemd on disks.

Its first disk is a Debian server, the same base for all; its second the workload's
image. Each instance writes to copies of its own over both. The workload is a unit of
the guest's systemd, which runs it in its image's tree as a microVM's init would.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from agent.clock import Mark
from agent.errors import InvalidInput, RuntimeUnavailable
from agent.runtimes.base import Capabilities, LaunchSpec, Prepared
from agent.runtimes.qemu import ext4, overlays
from agent.runtimes.qemu.equipment import Equipment
from agent.runtimes.qemu.guest import WORKLOAD_LINE
from agent.runtimes.qemu.images import NOTHING_IN_MEMORY, Guest, ImageStore
from agent.runtimes.qemu.machine import CONSOLE_PARAMETERS, Q35, DirectBoot, Machine
from agent.runtimes.qemu.network import card_of
from agent.runtimes.qemu.payload import VARIANT as PAYLOAD
from agent.runtimes.qemu.payload import is_payload, payload_machine, prepare_payload, there
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.profile import Bootable
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import CLONE_VARIANTS, Network, Target, Workload

NAME = "qemu-full"
DIRECT, FIRMWARE = "direct", "firmware"
# Those of its boot loader too: deploy/debian/server/rootfs/boot/grub/grub.cfg.
PARAMETERS = (*CONSOLE_PARAMETERS, "quiet", "root=/dev/vda1", "ro")
_CAPABILITIES = Capabilities(
    variants=(DIRECT, FIRMWARE, PAYLOAD, *CLONE_VARIANTS),
    networks=(Network.NONE, Network.USER),
    modes=("warm", "cold", "restore"),
    readiness=("log", "http"),
    health=("console", "http"),
    takes_parent_group=True,
)


class Full:
    """A whole server, or a bare file that is no Linux."""

    name = NAME
    capabilities = _CAPABILITIES

    def __init__(self, settings: RuntimeSettings, places: Places) -> None:
        self._settings = settings
        self._places = places
        self._disk = (settings.guest_dir or Path()).absolute() / "debian"
        self._images: ImageStore | None = None

    def lack(self) -> str:
        missing = [name for name in ("base.raw", "vmlinuz", "initrd.img") if not self._has(name)]
        if missing:
            return f"{self._disk} has no {' and no '.join(missing)}: run deploy/bootstrap.sh --dev"
        return ext4.lack() or overlays.lack()

    def offers(self) -> Capabilities:
        if there(self._disk.parent):
            return _CAPABILITIES
        variants = tuple(name for name in _CAPABILITIES.variants if name != PAYLOAD)
        return replace(_CAPABILITIES, variants=variants)

    def caution(self) -> str:
        return ""

    def check(self, target: Target) -> None:
        variant = target.variant
        if (variant == PAYLOAD) != is_payload(target.workload.image):
            raise InvalidInput(
                "payloads, and they alone, are booted by the variant payload",
                field="variant",
                value=variant,
                remedy=f"Use {PAYLOAD} with an image payload/NAME, {DIRECT} with any other.",
            )
        if variant == PAYLOAD and target.network is not Network.NONE:
            raise InvalidInput(
                "payloads are booted without a network card",
                field="network",
                value=target.network.value,
                remedy="Use network: none with the variant payload.",
            )

    async def prepare(self, workload: Workload, equipment: Equipment) -> Prepared:
        if is_payload(workload.image):
            return await prepare_payload(workload, equipment)
        guest = await self._store(equipment).guest(workload)
        bootable = await self._bootable(guest, equipment)
        base = self._disk / "base.raw"
        paths = (bootable.kernel, self._disk / "initrd.img", base, guest.file)
        return Prepared(workload, guest.digest, paths, bootable, guest_root=guest.root.value)

    def machine(self, spec: LaunchSpec, bootable: Bootable, drives: tuple[Path, ...]) -> Machine:
        if bootable.draws:
            return payload_machine(spec, bootable)
        direct = DirectBoot(bootable.kernel, bootable.initramfs, " ".join(PARAMETERS))
        return Machine(
            board=Q35,
            memory_bytes=spec.target.memory_bytes,
            cpus=spec.target.cpus,
            accelerator=bootable.accelerator,
            boot=None if spec.target.variant == FIRMWARE else direct,
            drives=drives,
            card=card_of(spec.target, spec.instance_id),
            serial=spec.instance_id,
        )

    async def _bootable(self, guest: Guest, equipment: Equipment) -> Bootable:
        bases = {"root.qcow2": self._disk / "base.raw", "workload.qcow2": guest.file}
        try:
            empty = {
                name: await asyncio.to_thread(overlays.empty_overlay, base, self._places.guests)
                for name, base in bases.items()
            }
        except OSError as error:
            raise RuntimeUnavailable(f"no disk could be made: {error}") from error
        return Bootable(
            kernel=self._disk / "vmlinuz",
            initramfs=self._disk / "initrd.img",
            accelerator=equipment.verdict.accelerator,
            workload_line=WORKLOAD_LINE,
            workload_mark=Mark.UNIT,
            overlays=empty,
        )

    def _has(self, name: str) -> bool:
        return (self._disk / name).is_file()

    def _store(self, equipment: Equipment) -> ImageStore:
        if self._images is None:
            self._images = ImageStore(
                self._settings,
                self._places,
                equipment.files.busybox,
                in_memory_bytes=NOTHING_IN_MEMORY,
            )
        return self._images
