"""The files of programs: executables and the libraries that the loader gives them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

_LDD_SECONDS = 10.0
_ADMINISTRATORS = "/usr/local/sbin:/usr/sbin:/sbin"


def program_files(names: Iterable[str], maps: Path = Path("/proc/self/maps")) -> tuple[Path, ...]:
    """The files that starting these programs reads; blocking.

    ``names`` are looked for on the PATH and where administrators' programs are; a path
    is taken as it is. Raises ``FileNotFoundError`` for one that is not there. Libraries
    that the agent itself has mapped (the C library among them) are left out: as long as
    there is an agent they are in the page cache, and cannot be taken out of it.
    """
    ours = _mapped(maps)
    found: set[Path] = set()
    for name in names:
        program = place_of(name)
        found |= {program, *_libraries(program)} - ours
    return tuple(sorted(found))


def place_of(name: str) -> Path:
    """Where a program really is. Raises ``FileNotFoundError``."""
    place = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_ADMINISTRATORS}")
    if place is None:
        raise FileNotFoundError(f"the program {name}, which each start executes, was not found")
    return Path(place).resolve()


def _libraries(program: Path) -> set[Path]:
    """What ldd(1) says; none for a program that is static or no ELF file."""
    command = ["ldd", str(program)]
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, timeout=_LDD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return set()
    words = (word for line in told.stdout.splitlines() for word in line.split())
    return {Path(word).resolve() for word in words if word.startswith("/") and word != str(program)}


def _mapped(maps: Path) -> set[Path]:
    """The files that this process has mapped."""
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return set()
    return {Path(line.split(maxsplit=5)[5]) for line in lines if " /" in line}
