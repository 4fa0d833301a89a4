"""What the host brings for VMs: programs, guest kernel, busybox; and what is missing."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from agent.runtimes.qemu.accelerator import Verdict, decide
from agent.runtimes.qemu.machine import PROGRAM
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.vmm import NEEDED_PROGRAMS
from tonnage.model import RuntimeState

_VERSION_SECONDS = 5.0
# The boot protocol of x86: the setup header's magic, and where it says the version text is.
_MAGIC_AT, _MAGIC, _VERSION_AT, _SETUP_BASE = 0x202, b"HdrS", 0x20E, 0x200


@dataclass(frozen=True, slots=True)
class GuestFiles:
    """The files every guest is made of."""

    kernel: Path
    busybox: Path

    @property
    def modules(self) -> Path:
        """The folder with the kernel's drivers of virtual disks and network cards; a host
        that runs neither may lack it."""
        return self.kernel.parent / "modules"


@dataclass(frozen=True, slots=True)
class Equipment:
    """Everything that VMs need, found and tried."""

    files: GuestFiles
    qemu_version: str
    kernel_version: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Lack:
    """Why this host can run no VMs."""

    state: RuntimeState
    reason: str


async def detect(guest_dir: Path | None, places: Places) -> Equipment | Lack:
    """Find and try everything; a few seconds at most, the first time. Never raises for
    what a host may lack."""
    if program := missing_program():
        return Lack(
            RuntimeState.UNDETECTED, f"{program} is not on the PATH; run deploy/bootstrap.sh"
        )
    files = guest_files(guest_dir)
    if isinstance(files, str):
        return Lack(RuntimeState.UNHEALTHY, files)
    try:
        places.make()
        version = await qemu_version()
        verdict = await decide(files.kernel, files.busybox, version, places.accelerator)
        return Equipment(files, version, kernel_version(files.kernel), verdict)
    except OSError as error:
        return Lack(RuntimeState.UNHEALTHY, f"QEMU cannot be used: {error}")


def guest_files(guest_dir: Path | None) -> GuestFiles | str:
    """The guest's files, or the sentence that says which is missing."""
    if guest_dir is None:
        return "no folder with a guest kernel and busybox is configured (guest_dir)"
    folder = guest_dir.absolute()
    files = GuestFiles(folder / "vmlinuz", folder / "busybox")
    for file in (files.kernel, files.busybox):
        if not (file.is_file() and os.access(file, os.R_OK)):
            return f"{file} is missing or unreadable; run deploy/bootstrap.sh"
    return files


def missing_program() -> str:
    """The first program that is needed and not on the PATH; empty if none is missing."""
    return next((name for name in NEEDED_PROGRAMS if shutil.which(name) is None), "")


async def qemu_version() -> str:
    """What QEMU says its version is, such as ``7.2.22``; empty if it does not say.

    Raises ``OSError`` when it cannot be started or takes longer than five seconds.
    """
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "--version", stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_VERSION_SECONDS):
            output, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    words = output.decode(errors="replace").split()
    return words[words.index("version") + 1] if "version" in words[:-1] else ""


def kernel_version(kernel: Path) -> str:
    """The version text inside an x86 ``bzImage``; empty for any other file.

    Layout: Documentation/arch/x86/boot.rst, ``kernel_version``. Raises ``OSError``.
    """
    with kernel.open("rb") as file:
        head = file.read(0x10000)
    if head[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
        return ""
    at = int.from_bytes(head[_VERSION_AT : _VERSION_AT + 2], "little") + _SETUP_BASE
    return head[at:].split(b"\0", 1)[0].split(b" ", 1)[0].decode(errors="replace")
