"""Copy-on-write disks: an empty image over a shared base, made once, copied by each launch.

Making one takes a process of its own; copying its 200 kB is what a launch pays. What clones
share is what their template has written, itself such an image.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

PROGRAM = "qemu-img"
_MAKING_SECONDS = 20.0


def empty_overlay(base: Path, folder: Path) -> Path:
    """The empty overlay over the raw image ``base``, in ``folder``; made if it is not there.

    It names its base by the whole path. Blocks. Raises ``OSError``.
    """
    base = base.absolute()
    file = base.stat()
    key = hashlib.sha256(f"{base} {file.st_size} {file.st_mtime_ns}".encode()).hexdigest()
    target = folder / f"{key}.qcow2"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch, "overlay")
            _create(base, "raw", made)
            made.replace(target)
    return target


def over_overlay(written: Path, target: Path) -> Path:
    """``target``, made an empty overlay over the overlay ``written``. Blocks. Raises
    ``OSError``."""
    _create(written.absolute(), "qcow2", target)
    return target


def lack() -> str:
    """What this host lacks for overlays, in a sentence; empty if nothing."""
    return "" if shutil.which(PROGRAM) else f"{PROGRAM} is not on the PATH (package qemu-utils)"


def _create(base: Path, kind: str, target: Path) -> None:
    """Run qemu-img. Raises ``OSError`` with what it said."""
    command = [PROGRAM, "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(base), str(target)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_MAKING_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{PROGRAM} took longer than {_MAKING_SECONDS:g} s") from error
    if done.returncode != 0:
        raise OSError(f"{PROGRAM} failed: {done.stderr.decode(errors='replace').strip()}")
