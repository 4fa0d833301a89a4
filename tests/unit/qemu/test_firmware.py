"""What QEMU reads of its own files, by the machine that it makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.runtimes.qemu.firmware import firmware_names, own_files
from agent.runtimes.qemu.machine import MICROVM, Q35, DirectBoot, Machine
from tonnage.model import Accelerator

KERNEL = DirectBoot(Path("/k"), None, "")
SMALL = Machine(MICROVM, 128 << 20, 1, Accelerator.TCG, KERNEL)
SERVER = replace(SMALL, board=Q35, boot=None)


def test_each_board_has_firmware_of_its_own() -> None:
    assert firmware_names(SMALL)[0] == "qboot.rom"
    assert firmware_names(SERVER)[0] == "bios-256k.bin"


def test_what_loads_a_kernel_or_draws_is_read_where_it_is_needed() -> None:
    direct, draws = replace(SERVER, boot=KERNEL), replace(SERVER, options=("-device", "VGA"))
    assert set(firmware_names(direct)) - set(firmware_names(SERVER)) == {"linuxboot_dma.bin"}
    assert set(firmware_names(draws)) - set(firmware_names(SERVER)) == {"vgabios-stdvga.bin"}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A QEMU with two folders of firmware, of which it looks into the second last."""
    for name in ("first/qboot.rom", "second/qboot.rom", "second/linuxboot_dma.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    module = tmp_path / "lib/some-machine/qemu/accel-tcg-x86_64.so"
    module.parent.mkdir(parents=True)
    module.touch()
    program = tmp_path / "bin/qemu"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' {tmp_path}/first {tmp_path}/second\n")
    program.chmod(0o755)
    return program


def test_it_is_taken_from_where_qemu_looks_first(program: Path, tmp_path: Path) -> None:
    found = {str(path.relative_to(tmp_path)) for path in own_files(SMALL, program)}
    assert found == {
        "first/qboot.rom",
        "second/linuxboot_dma.bin",
        "lib/some-machine/qemu/accel-tcg-x86_64.so",
    }


def test_the_module_is_that_of_the_accelerator(program: Path) -> None:
    by_kvm = own_files(replace(SMALL, accelerator=Accelerator.KVM), program)
    assert not any(path.suffix == ".so" for path in by_kvm)


def test_a_qemu_that_does_not_tell_its_folders_is_told(program: Path) -> None:
    program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(OSError, match="firmware"):
        own_files(SMALL, program)
