"""What QEMU reads of its own files to make a machine: firmware, and its accelerator's module.

Neither is among the libraries of its program: it looks for both by name when it starts.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.runtimes.qemu.machine import MICROVM, Q35, Machine
from tonnage.model import Accelerator

_TELLING_SECONDS = 10.0
# Seen with QEMU 7.2: these folders taken out of the page cache, each machine made, and asked
# what was in it then. Without ACPI, the board microvm has the smallest firmware there is.
_BOARD = {MICROVM: ("qboot.rom",), Q35: ("bios-256k.bin", "kvmvapic.bin")}
_KERNEL_LOADER = "linuxboot_dma.bin"
_SCREEN_ROM = "vgabios-stdvga.bin"
_MODULES = {Accelerator.TCG: "accel-tcg-x86_64.so"}


def own_files(machine: Machine, program: Path) -> tuple[Path, ...]:
    """Those that are read for ``machine`` and are there; ``program`` is QEMU itself.

    A file that is in none of QEMU's folders it does not read either. Blocks. Raises
    ``OSError`` if QEMU does not tell its folders.
    """
    folders = _firmware_folders(program)
    places = ([folder / name for folder in folders] for name in firmware_names(machine))
    firmware = (next((file for file in files if file.is_file()), None) for files in places)
    found = (file.resolve() for file in firmware if file is not None)
    return (*found, *_modules(machine.accelerator, program))


def firmware_names(machine: Machine) -> tuple[str, ...]:
    """The names of the firmware's parts."""
    loader = (_KERNEL_LOADER,) if machine.boot is not None else ()
    screen = (_SCREEN_ROM,) if "VGA" in machine.options else ()
    return (*_BOARD[machine.board], *loader, *screen)


def _firmware_folders(program: Path) -> Sequence[Path]:
    """In the order in which QEMU looks."""
    command = [str(program), "-L", "help"]
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, timeout=_TELLING_SECONDS, check=True
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"QEMU does not tell where its firmware is: {error}") from error
    return [Path(line) for line in told.stdout.splitlines()]


def _modules(accelerator: Accelerator, program: Path) -> Iterator[Path]:
    """In the folder that QEMU was built with, which it does not tell: below the library
    folder of its prefix, as every packager has it. None where it is built in."""
    name = _MODULES.get(accelerator)
    if name is not None:
        for pattern in ("lib*/qemu", "lib/*/qemu"):
            yield from program.resolve().parent.parent.glob(f"{pattern}/{name}")
