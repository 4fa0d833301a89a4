"""The command line of a VM, word by word: it is part of what is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agent.runtimes.qemu.machine import DirectBoot, Machine, microvm, process_name, qemu_arguments
from tonnage.model import Accelerator

MACHINE = microvm(
    Path("/k"),
    Path("/i"),
    hostname="vm-1",
    memory_bytes=(128 << 20) + 5,
    cpus=2,
    accelerator=Accelerator.TCG,
)
GOLDEN = """\
qemu-system-x86_64 -name tonnage/agent-1/qemu-microvm/vm-1 -machine microvm,acpi=off -accel tcg \
-m 128M -smp 2 -no-user-config -nodefaults -no-reboot -display none \
-chardev socket,id=console,fd=7 -serial chardev:console \
-chardev socket,id=monitor,fd=8 -mon chardev=monitor,mode=control \
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny \
-kernel /k -initrd /i -append \
loglevel=6 earlycon=uart8250,io,0x3f8 loglevel=3 console=ttyS0 edd=off panic=-1 reboot=t \
cryptomgr.notests noreplace-smp nokaslr rdinit=/.tonnage/init hostname=vm-1"""


def test_the_command_line_is_this_one() -> None:
    name = process_name("agent-1", "qemu-microvm", "vm-1")
    words = qemu_arguments(MACHINE, name, console_fd=7, monitor_fd=8)
    assert " ".join(words) == GOLDEN


def test_kvm_brings_the_hosts_processor() -> None:
    machine = replace(MACHINE, accelerator=Accelerator.KVM)
    words = qemu_arguments(machine, "n", console_fd=7, monitor_fd=8)
    at = words.index("-accel")
    assert words[at : at + 4] == ("-accel", "kvm", "-cpu", "host")


def test_a_machine_with_disks_boots_from_the_first_unless_it_is_given_a_kernel() -> None:
    machine = Machine(
        board="q35",
        memory_bytes=512 << 20,
        cpus=1,
        accelerator=Accelerator.TCG,
        boot=None,
        drives=(Path("/a,b/root.qcow2"), Path("/c")),
        serial="vm-1",
    )
    words = qemu_arguments(machine, "n", console_fd=7, monitor_fd=8)
    assert words[-10:] == (
        *("-drive", "if=none,id=disk0,format=qcow2,file=/a,,b/root.qcow2"),
        *("-device", "virtio-blk-pci,drive=disk0"),
        *("-drive", "if=none,id=disk1,format=qcow2,file=/c"),
        *("-device", "virtio-blk-pci,drive=disk1"),
        *("-smbios", "type=1,serial=vm-1"),
    )
    direct = replace(machine, boot=DirectBoot(Path("/k"), None, "root=/dev/vda1"))
    assert qemu_arguments(direct, "n", console_fd=7, monitor_fd=8) == (
        *words,
        *("-kernel", "/k", "-append", "root=/dev/vda1"),
    )
