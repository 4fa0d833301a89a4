"""A small Debian to install things on: a file tree, entered in namespaces of its own.

No network but loopback, no process of the host in sight, nothing mounted that outlives
the command. What a command writes stays until the ``Debian`` is thrown away; the tree
below it is made once and kept in ``build/``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = "python3-venv,systemd,ansible-core"
KEPT = CHECKOUT / "build/debian"
_MAKE = ("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}")

# $1 lower, $2 the folder of this Debian, $3 what is seen as /srv, then the command. /sys
# stays empty: nothing here may find the host's cgroups.
_ENTER = """
set -e
lower=$1 own=$2 srv=$3
shift 3
ip link set lo up
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$own/upper,workdir=$own/work" "$own/root"
mount -t proc proc "$own/root/proc"
mount --bind -o ro "$srv" "$own/root/srv"
exec chroot "$own/root" "$@"
"""
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Debian:
    """One machine's files: ``own`` holds what differs from those of ``below``, the uppermost
    first; ``srv`` is seen as /srv."""

    below: tuple[Path, ...]
    own: Path
    srv: Path

    def copy(self, own: Path) -> Debian:
        """Another that begins with what this one has now. This one must not change any more."""
        mine = self.own / "upper"
        mine.mkdir(parents=True, exist_ok=True)
        return Debian((mine, *self.below), own, self.srv)

    def run(
        self, *command: str, timeout: float = 50, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root in there; standard error comes with standard output."""
        for name in ("upper", "work", "root"):
            (self.own / name).mkdir(parents=True, exist_ok=True)
        spaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]
        places = [":".join(map(str, self.below)), str(self.own), str(self.srv)]
        return subprocess.run(
            ["unshare", *spaces, "bash", "-c", _ENTER, "bash", *places, *command],
            env={**_ENVIRONMENT, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def files(self) -> set[str]:
        """Every file, link and folder that the bare Debian does not have."""
        bare = self.below[-1]
        found = self.run("find", "/", "-xdev", "-printf", "%P\\n", timeout=20).stdout.splitlines()
        return {name for name in found if name and not os.path.lexists(bare / name)}


def tree() -> Path:
    """The tree, made if it is missing: 40 s with a fresh mirror. Raises ``OSError`` and
    ``subprocess.CalledProcessError``."""
    KEPT.parent.mkdir(exist_ok=True)
    stamp = KEPT / "packages"
    with KEPT.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if stamp.is_file() and stamp.read_text() == PACKAGES:
            return KEPT / "tree"
        if KEPT.exists():
            shutil.rmtree(KEPT)
        KEPT.mkdir()
        subprocess.run(
            [*_MAKE, "bookworm", str(KEPT / "tree")],
            check=True,
            capture_output=True,
        )
        stamp.write_text(PACKAGES)
    return KEPT / "tree"
