"""The virtual machine as a command line: pure functions, the same for every launch.

What a machine is, is its profile's to say (see ``profile``); this is how QEMU is told.

Measured under TCG with Debian's kernel 6.1 and QEMU 7.2 (docs/measuring.md has
the method; request to ready, medians of interleaved boots):

* ``-M microvm,acpi=off`` against ``-M q35`` with the same kernel, initramfs and
  command line: less firmware to run and no PCI to search. With ACPI, microvm
  hangs before its first byte in every second boot; without the PIT or the PIC
  always; with ``rtc=off,x-option-roms=off`` (both at once; not told apart) the
  kernel's first line came two seconds later.
* ``cryptomgr.notests``: no self-tests of ciphers while booting; about a sixth.
* ``noreplace-smp``: lock prefixes stay as they are. Patching them away costs an
  emulator the translation of every page they lie in; about a tenth.
* ``nokaslr``: as in every microVM that boots an unpacked kernel. Randomising moves
  the kernel after unpacking it: 3 % of the time, and 20 MB more of guest RAM touched.
* The console costs little. What is printed is chosen for its worth as evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.runtimes.qemu.guest import INIT_PATH, STUB_PATH
from agent.runtimes.qemu.network import Card, network_arguments
from tonnage.model import Accelerator

KERNEL_LINE = "Linux version"
PROGRAM = "qemu-system-x86_64"
MICROVM, Q35 = "microvm,acpi=off", "q35"
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_MEBIBYTE = 1 << 20

# Early parameters act in their order: at level 6 the early console prints the
# banner, the kernel's first line and our mark of it, and none of the chatter;
# from then on only what is critical: panics, oopses, lost hardware.
CONSOLE_PARAMETERS = (
    "loglevel=6",
    "earlycon=uart8250,io,0x3f8",
    "loglevel=3",
    "console=ttyS0",
    "edd=off",  # no line of the loader before the kernel's own
    "panic=-1",  # a dead kernel resets at once, and QEMU exits on a reset
    "reboot=t",  # by a triple fault: works on every machine, without ACPI
)
KERNEL_PARAMETERS = (
    *CONSOLE_PARAMETERS,
    "cryptomgr.notests",
    "noreplace-smp",
    "nokaslr",
)


@dataclass(frozen=True, slots=True)
class DirectBoot:
    """A kernel that QEMU itself puts into the guest's memory, with what it is told."""

    kernel: Path
    initramfs: Path | None
    parameters: str


@dataclass(frozen=True, slots=True)
class Machine:
    """One virtual machine: what it boots, and how much of the host it gets.

    ``drives`` are qcow2 images of its own, in the order in which the guest finds them;
    without ``boot`` the firmware starts what it finds on the first. ``serial`` is
    what the firmware's tables tell the guest of its name. ``options`` are further words.
    """

    board: str
    memory_bytes: int
    cpus: int
    accelerator: Accelerator
    boot: DirectBoot | None
    drives: tuple[Path, ...] = ()
    card: Card | None = None
    serial: str = ""
    options: tuple[str, ...] = ()


def microvm(
    kernel: Path,
    initramfs: Path | None,
    *,
    hostname: str,
    memory_bytes: int,
    cpus: int,
    accelerator: Accelerator,
    drives: tuple[Path, ...] = (),
    card: Card | None = None,
) -> Machine:
    """A machine with little in it. Without ``drives`` its guest lies whole in its memory;
    with them ``initramfs`` is a stub that goes on in the first. With a ``card`` the guest's
    initramfs has a stub too.

    Debian's kernel finds virtio's devices on PCI alone (it is built without
    ``VIRTIO_MMIO_CMDLINE_DEVICES``), which the board microvm has with ACPI only.
    """
    if drives:
        begin: tuple[str, ...] = ("root=/dev/vda", "rw", f"init={INIT_PATH}")
    else:
        begin = (f"rdinit={STUB_PATH if card is not None else INIT_PATH}",)
    parameters = (*KERNEL_PARAMETERS, *begin, f"hostname={hostname}")
    boot = DirectBoot(kernel, initramfs, " ".join(parameters))
    board = Q35 if drives or card is not None else MICROVM
    return Machine(board, memory_bytes, cpus, accelerator, boot, drives, card)


def process_name(agent_id: str, runtime: str, instance_id: str) -> str:
    """The ``-name`` of a VM, by which it is found again and told from any other's."""
    return f"{agent_prefix(agent_id)}{runtime}/{instance_id}"


def agent_prefix(agent_id: str) -> str:
    """How the names of all VMs of an agent begin."""
    return f"tonnage/{agent_id}/"


def qemu_arguments(
    machine: Machine, name: str, *, console_fd: int, monitor_fd: int
) -> tuple[str, ...]:
    """QEMU's whole command line, program included.

    ``console_fd`` and ``monitor_fd`` are connected stream sockets that QEMU
    inherits: nobody listens, polls or connects. ``-m`` takes whole MiB, rounded down.
    """
    return (
        PROGRAM,
        *("-name", name),
        *("-machine", machine.board),
        *_accelerator(machine.accelerator),
        *("-m", f"{machine.memory_bytes // _MEBIBYTE}M"),
        *("-smp", str(machine.cpus)),
        *("-no-user-config", "-nodefaults", "-no-reboot"),
        *("-display", "none"),
        *("-chardev", f"socket,id=console,fd={console_fd}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=monitor,fd={monitor_fd}"),
        *("-mon", "chardev=monitor,mode=control"),
        *("-sandbox", _SANDBOX),
        *(word for number, file in enumerate(machine.drives) for word in _drive(number, file)),
        *(network_arguments(machine.card) if machine.card is not None else ()),
        *(("-smbios", f"type=1,serial={machine.serial}") if machine.serial else ()),
        *machine.options,
        *(_boot(machine.boot) if machine.boot is not None else ()),
    )


def _accelerator(accelerator: Accelerator) -> tuple[str, ...]:
    if accelerator is Accelerator.KVM:
        return ("-accel", "kvm", "-cpu", "host")
    return ("-accel", "tcg")


def _drive(number: int, file: Path) -> tuple[str, ...]:
    """A virtio disk. A comma in a path is doubled for QEMU's own parser."""
    path = str(file).replace(",", ",,")
    return (
        *("-drive", f"if=none,id=disk{number},format=qcow2,file={path}"),
        *("-device", f"virtio-blk-pci,drive=disk{number}"),
    )


def _boot(boot: DirectBoot) -> tuple[str, ...]:
    initrd = ("-initrd", str(boot.initramfs)) if boot.initramfs is not None else ()
    return ("-kernel", str(boot.kernel), *initrd, "-append", boot.parameters)
