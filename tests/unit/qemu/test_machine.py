"""The command line of a VM, word by word: it is part of what is measured."""

from __future__ import annotations

from pathlib import Path

from agent.runtimes.qemu.machine import Machine, process_name, qemu_arguments
from tonnage.model import Accelerator

MACHINE = Machine(Path("/k"), Path("/i"), (128 << 20) + 5, 2, Accelerator.TCG, "vm-1")
GOLDEN = """\
qemu-system-x86_64 -name tonnage/agent-1/vm-1 -machine microvm,acpi=off -accel tcg -m 128M \
-smp 2 -no-user-config -nodefaults -no-reboot -display none \
-chardev socket,id=console,fd=7 -serial chardev:console \
-chardev socket,id=monitor,fd=8 -mon chardev=monitor,mode=control \
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny \
-kernel /k -initrd /i -append \
loglevel=6 earlycon=uart8250,io,0x3f8 loglevel=3 console=ttyS0 edd=off panic=-1 reboot=t \
cryptomgr.notests noreplace-smp nokaslr rdinit=/.tonnage/init hostname=vm-1"""


def test_the_command_line_is_this_one() -> None:
    name = process_name("agent-1", "vm-1")
    words = qemu_arguments(MACHINE, name, console_fd=7, monitor_fd=8)
    assert " ".join(words) == GOLDEN


def test_kvm_brings_the_hosts_processor() -> None:
    machine = Machine(Path("/k"), Path("/i"), 128 << 20, 1, Accelerator.KVM, "vm-1")
    words = qemu_arguments(machine, "n", console_fd=7, monitor_fd=8)
    at = words.index("-accel")
    assert words[at : at + 4] == ("-accel", "kvm", "-cpu", "host")


def test_another_board_changes_nothing_else() -> None:
    ours = qemu_arguments(MACHINE, "n", console_fd=7, monitor_fd=8)
    plain = qemu_arguments(MACHINE, "n", console_fd=7, monitor_fd=8, board="q35")
    assert [(a, b) for a, b in zip(ours, plain, strict=True) if a != b] == [
        ("microvm,acpi=off", "q35")
    ]
