"""Which accelerator this host really has, shown by running guest code.

/dev/kvm may be there, answer every ioctl, and yet run guests a thousand times
slower than real, or not at all: many nested clouds are like this. So ``kvm``
counts only once a guest kernel reached user space under it within
``DEADLINE_SECONDS``, in processes that are killed afterwards. The verdict is kept for one
host boot and one QEMU version.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.runtimes.console import Console, ConsoleEnded
from agent.runtimes.images.command import Process
from agent.runtimes.images.tree import Tree
from agent.runtimes.images.user import User
from agent.runtimes.qemu.cpio import write_newc
from agent.runtimes.qemu.guest import INIT_LINE, add_init
from agent.runtimes.qemu.machine import Machine, microvm
from agent.runtimes.qemu.starting import start
from agent.runtimes.records import read_json, write_atomically
from tonnage.model import Accelerator

DEVICE = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DEADLINE_SECONDS = 4.0
_READ_BYTES = 1 << 16
_MEMORY_BYTES = 128 << 20
_NAME = "tonnage-proof"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An accelerator and the sentence that says how it was found."""

    accelerator: Accelerator
    proof: str


# Verdicts of this process: several agents in one process ask one host once.
_known: dict[str, Verdict] = {}


async def decide(kernel: Path, busybox: Path, qemu_version: str, cache: Path) -> Verdict:
    """This host's accelerator; proven once per host boot, QEMU version and guest kernel.

    Takes ``DEADLINE_SECONDS`` at most beyond start and end of a process. Raises
    ``OSError`` when the proof cannot be set up.
    """
    if problem := _device_problem():
        return Verdict(Accelerator.TCG, problem)
    key = _key(kernel, qemu_version)
    verdict = _known.get(key) or _remembered(cache, key)
    if verdict is None:
        verdict = await _prove(kernel, busybox)
        write_atomically(cache, json.dumps({"key": key, **asdict(verdict)}).encode())
    _known[key] = verdict
    return verdict


def _key(kernel: Path, qemu_version: str) -> str:
    """What a verdict holds for."""
    file = kernel.stat()
    boot_id = BOOT_ID.read_text().strip()
    return f"{boot_id} {qemu_version} {kernel} {file.st_size} {file.st_mtime_ns}"


def _remembered(cache: Path, key: str) -> Verdict | None:
    known = read_json(cache)
    if known.get("key") != key:
        return None
    return Verdict(Accelerator(known["accelerator"]), str(known["proof"]))


def _device_problem() -> str:
    if not DEVICE.exists():
        return f"there is no {DEVICE}"
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return f"{DEVICE} may not be opened by this user"
    return ""


async def _prove(kernel: Path, busybox: Path) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="tonnage-proof-") as folder:
        initramfs = Path(folder, "proof.cpio")
        await asyncio.to_thread(_write_guest, initramfs, busybox)
        machine = microvm(
            kernel,
            initramfs,
            hostname="proof",
            memory_bytes=_MEMORY_BYTES,
            cpus=1,
            accelerator=Accelerator.KVM,
        )
        stderr = Path(folder, "stderr")
        began = time.monotonic()
        booted = await _boots(machine, f"{_NAME}/{os.getpid()}", stderr)
        took = time.monotonic() - began
        if booted:
            return Verdict(
                Accelerator.KVM, f"a guest kernel reached user space under KVM in {took:.2f} s"
            )
        said = _last_line(stderr)
    why = f"QEMU said: {said}" if said else f"no guest user space within {took:.1f} s"
    return Verdict(
        Accelerator.TCG,
        f"{DEVICE} is there but did not run a guest kernel to user space under a"
        f" deadline of {DEADLINE_SECONDS:g} s ({why})",
    )


async def _boots(machine: Machine, name: str, stderr: Path) -> bool:
    """Whether a machine's init says its line in time; the machine is gone afterwards."""
    started = start(
        machine,
        name,
        lifetime_seconds=DEADLINE_SECONDS + 1,
        cgroup_folders=(),
        stderr=stderr,
    )
    loop = asyncio.get_running_loop()
    console = Console()
    init = console.watch(INIT_LINE)

    def read() -> None:
        data = started.plug.console.recv(_READ_BYTES)
        if data:
            console.feed(data, time.monotonic_ns())
        else:
            console.end()
            loop.remove_reader(started.plug.console)

    loop.add_reader(started.plug.console, read)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await init
    except (TimeoutError, ConsoleEnded):
        return False
    finally:
        loop.remove_reader(started.plug.console)
        await started.process.kill()
        started.plug.close()
    return True


def _last_line(file: Path) -> str:
    return next(reversed(file.read_text(errors="replace").strip().splitlines()), "")


def _write_guest(initramfs: Path, busybox: Path) -> None:
    """A guest with nothing in it but our init."""
    tree = Tree()
    add_init(tree, Process("/.tonnage/busybox", ("busybox", "true"), {}, User(), "/"), busybox)
    with initramfs.open("wb") as out:
        write_newc(tree, out)
