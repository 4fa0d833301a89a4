"""A container's console: named pipes that the shim opens, and our ends of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pipes:
    """Our ends, open before the shim's: ``out`` to read, ``into`` to write, where something
    will be asked. Neither blocks. ``stdin`` and ``stdout`` are what containerd is told."""

    out: int
    into: int | None
    stdin: str
    stdout: str


def make(folder: Path, *, asked: bool) -> Pipes:
    """Make the pipes in an instance's folder and open them. Raises ``OSError``.

    Standard output and error are one. The end for writing is opened for reading too, as the
    one way to open it before a reader is there.
    """
    stdin, stdout = folder / "stdin", folder / "stdout"
    flags = os.O_NONBLOCK | os.O_CLOEXEC
    os.mkfifo(stdout, 0o600)
    out = os.open(stdout, os.O_RDONLY | flags)
    if not asked:
        return Pipes(out, None, "", str(stdout))
    try:
        os.mkfifo(stdin, 0o600)
        into = os.open(stdin, os.O_RDWR | flags)
    except BaseException:
        os.close(out)
        raise
    return Pipes(out, into, str(stdin), str(stdout))
