"""The virtual machine as a command line: pure functions, the same for every launch.

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

from agent.runtimes.qemu.guest import INIT_PATH
from tonnage.model import Accelerator

KERNEL_LINE = "Linux version"
PROGRAM = "qemu-system-x86_64"
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_MEBIBYTE = 1 << 20

# Early parameters act in their order: at level 6 the early console prints the
# banner, the kernel's first line and our mark of it, and none of the chatter;
# from then on only what is critical: panics, oopses, lost hardware.
_KERNEL_PARAMETERS = (
    "loglevel=6",
    "earlycon=uart8250,io,0x3f8",
    "loglevel=3",
    "console=ttyS0",
    "edd=off",  # no line of the loader before the kernel's own
    "panic=-1",  # a dead kernel resets at once, and QEMU exits on a reset
    "reboot=t",  # by a triple fault: works on every machine, without ACPI
    "cryptomgr.notests",
    "noreplace-smp",
    "nokaslr",
    f"rdinit={INIT_PATH}",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """One virtual machine: what it boots, and how much of the host it gets."""

    kernel: Path
    initramfs: Path
    memory_bytes: int
    cpus: int
    accelerator: Accelerator
    hostname: str


def kernel_command_line(hostname: str) -> str:
    """The guest kernel's parameters."""
    return " ".join((*_KERNEL_PARAMETERS, f"hostname={hostname}"))


def process_name(agent_id: str, instance_id: str) -> str:
    """The ``-name`` of a VM, by which it is found again and told from any other's."""
    return f"tonnage/{agent_id}/{instance_id}"


def qemu_arguments(
    machine: Machine, name: str, *, console_fd: int, monitor_fd: int, board: str = ""
) -> tuple[str, ...]:
    """QEMU's whole command line, program included.

    ``console_fd`` and ``monitor_fd`` are connected stream sockets that QEMU
    inherits: nobody listens, polls or connects. ``board`` replaces the machine
    type, for comparisons. ``-m`` takes whole MiB, rounded down.
    """
    return (
        PROGRAM,
        *("-name", name),
        *("-machine", board or "microvm,acpi=off"),
        *_accelerator(machine.accelerator),
        *("-m", f"{machine.memory_bytes // _MEBIBYTE}M"),
        *("-smp", str(machine.cpus)),
        *("-no-user-config", "-nodefaults", "-no-reboot"),
        *("-display", "none"),
        *("-chardev", f"socket,id=console,fd={console_fd}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=monitor,fd={monitor_fd}"),
        *("-mon", "chardev=monitor,mode=control"),
        *("-sandbox", _SANDBOX),
        *("-kernel", str(machine.kernel)),
        *("-initrd", str(machine.initramfs)),
        *("-append", kernel_command_line(machine.hostname)),
    )


def _accelerator(accelerator: Accelerator) -> tuple[str, ...]:
    if accelerator is Accelerator.KVM:
        return ("-accel", "kvm", "-cpu", "host")
    return ("-accel", "tcg")
