"""The runtime ``qemu-microvm``: a kernel of its own and next to nothing besides.

The guest's file system is the workload's image: unpacked into memory by the kernel,
or, where that would take too much of it, a disk of its own. The console is the only
way in and out, unless a network is asked for.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from agent.errors import InvalidInput, RuntimeUnavailable
from agent.runtimes.base import Capabilities, LaunchSpec, Prepared
from agent.runtimes.qemu import ext4, overlays, stub
from agent.runtimes.qemu.equipment import Equipment
from agent.runtimes.qemu.guest import WORKLOAD_LINE
from agent.runtimes.qemu.images import Guest, GuestRoot, ImageStore
from agent.runtimes.qemu.machine import Machine, microvm
from agent.runtimes.qemu.network import card_of
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.profile import Bootable
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import CLONE_VARIANTS, Mode, Network, Target, Workload

NAME = "qemu-microvm"
_CAPABILITIES = Capabilities(
    variants=("direct", *CLONE_VARIANTS),
    networks=(Network.NONE, Network.USER),
    modes=("warm", "cold", "restore"),
    readiness=("log", "http"),
    health=("console", "http"),
    takes_parent_group=True,
)


class Microvm:
    """The least of a machine that its guest needs: QEMU's microvm, or q35 for a disk."""

    name = NAME
    capabilities = _CAPABILITIES

    def __init__(self, settings: RuntimeSettings, places: Places) -> None:
        self._settings = settings
        self._places = places
        self._images: ImageStore | None = None

    def lack(self) -> str:
        return ""

    def offers(self) -> Capabilities:
        if self._drivers().is_dir():
            return _CAPABILITIES
        return replace(
            _CAPABILITIES, networks=(Network.NONE,), readiness=("log",), health=("console",)
        )

    def caution(self) -> str:
        """An image that is larger than goes into memory takes a disk."""
        if why := self._no_disk():
            largest = self._settings.guest_in_memory_bytes >> 20
            return f"images of more than {largest} MiB need a disk, and {why}"
        return ""

    def check(self, target: Target) -> None:
        if target.network is not Network.USER:
            return
        if target.mode is Mode.RESTORE:
            raise InvalidInput(
                "a restored VM has its template's network card, and so its address",
                field="network",
                value=str(target.network),
                remedy="Use network: none with mode restore.",
            )
        if not self._drivers().is_dir():
            raise InvalidInput(
                f"the guest's drivers for a network card are missing: {self._drivers()}",
                field="network",
                value=str(target.network),
                remedy="Run deploy/bootstrap.sh, or use network: none.",
            )

    async def prepare(self, workload: Workload, equipment: Equipment) -> Prepared:
        guest = await self._store(equipment).guest(workload)
        make = self._on_disk if guest.root is GuestRoot.DISK else self._in_memory
        try:
            bootable = await asyncio.to_thread(make, guest, equipment)
        except OSError as error:
            raise RuntimeUnavailable(f"the guest could not be made: {error}") from error
        return Prepared(
            workload,
            guest.digest,
            _paths(guest, bootable.kernel, bootable.initramfs),
            bootable,
            guest_root=guest.root.value,
            paths_on={Network.USER: _paths(guest, bootable.kernel, bootable.with_card)},
        )

    def machine(self, spec: LaunchSpec, bootable: Bootable, drives: tuple[Path, ...]) -> Machine:
        card = card_of(spec.target, spec.instance_id)
        return microvm(
            bootable.kernel,
            bootable.initramfs if card is None else bootable.with_card,
            hostname=spec.instance_id,
            memory_bytes=spec.target.memory_bytes,
            cpus=spec.target.cpus,
            accelerator=bootable.accelerator,
            drives=drives,
            card=card,
        )

    def _in_memory(self, guest: Guest, equipment: Equipment) -> Bootable:
        """A guest that is an initramfs. Blocks. Raises ``OSError``."""
        files = equipment.files
        return Bootable(
            kernel=files.kernel,
            initramfs=guest.file,
            accelerator=equipment.verdict.accelerator,
            workload_line=WORKLOAD_LINE,
            with_card=stub.with_stub(guest.file, files.modules) if files.modules.is_dir() else None,
        )

    def _on_disk(self, guest: Guest, equipment: Equipment) -> Bootable:
        """A guest whose root is an overlay over a disk. Blocks. Raises ``OSError``."""
        files = equipment.files
        overlay = overlays.empty_overlay(guest.file, self._places.guests)
        begin = stub.kept_stub(files.modules, files.busybox, self._places.guests)
        return Bootable(
            kernel=files.kernel,
            initramfs=begin,
            accelerator=equipment.verdict.accelerator,
            workload_line=WORKLOAD_LINE,
            with_card=begin,
            overlays={"root.qcow2": overlay},
        )

    def _no_disk(self) -> str:
        """Why no guest could have a disk; empty if it could."""
        if not self._drivers().is_dir():
            return f"{self._drivers()} is missing: run deploy/bootstrap.sh"
        return ext4.lack() or overlays.lack()

    def _drivers(self) -> Path:
        return (self._settings.guest_dir or Path()).absolute() / "modules"

    def _store(self, equipment: Equipment) -> ImageStore:
        if self._images is None:
            self._images = ImageStore(
                self._settings,
                self._places,
                equipment.files.busybox,
                in_memory_bytes=self._settings.guest_in_memory_bytes,
            )
        return self._images


def _paths(guest: Guest, *begin: Path | None) -> tuple[Path, ...]:
    """What a guest begins with, and the disk that it goes on with."""
    on_disk = (guest.file,) if guest.root is GuestRoot.DISK else ()
    return (*(path for path in begin if path is not None), *on_disk)
