"""Virtual machines of others, by their VMM processes: QEMU under any of its names.

A VMM is known by its program's name, so QEMU started by hand, by libvirt or by anything
else is found alike. Nothing is asked of it: no monitor, no libvirt.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from agent import process
from agent.observed.seen import Seen
from agent.probes.base import Roots
from agent.process import Identity, ProcessView
from agent.runtimes.places import cgroup_folders
from agent.runtimes.qemu.machine import agent_prefix

_PROGRAM = re.compile(r"qemu-system-[\w.-]+|qemu-kvm|kvm")
# qemu(1), -m: "[size=]megs[,slots=n,maxmem=size]", in any order, mebibytes without a suffix.
_MEMORY = re.compile(r"(?:^|,size=)(?:size=)?(\d+(?:\.\d+)?)([bkmgt]?)", re.IGNORECASE)
_UNITS = {"": 1 << 20, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DEFAULT_BYTES = 128 << 20  # what QEMU gives a guest that nothing is said of

RUNNING = "running"


class Machines:
    """Finds VMMs below a root of /proc. Blocking: 20 µs for each process of the host."""

    def __init__(self, roots: Roots, agent_id: str) -> None:
        """Those of this agent, by name or as its children, are passed over."""
        self._proc = roots.proc
        self._own_prefix = agent_prefix(agent_id)

    def look(self) -> list[Seen]:
        """All there are now. What state the guest is in only its monitor could tell."""
        found = []
        for pid in process.pids(self._proc):
            argv = process.cmdline(pid, self._proc)
            if argv and is_vmm(argv) and not self._own(pid, argv):
                identity = Identity.of(pid, self._proc)
                if identity is not None:
                    found.append(self._seen(identity, argv))
        return found

    def _own(self, pid: int, argv: Sequence[str]) -> bool:
        named = _option(argv, "-name").startswith(self._own_prefix)
        return named or process.parent(pid, self._proc) == os.getpid()

    def _seen(self, identity: Identity, argv: Sequence[str]) -> Seen:
        pid = identity.pid
        view = ProcessView(
            pids=(pid,),
            cgroups=own_cgroups(pid, self._proc),
            vmm_pid=pid,
            guest_ram_bytes=guest_ram_bytes(argv),
        )
        return Seen(f"{pid}/{identity.start_ticks}", RUNNING, running=True, view=view)


def is_vmm(argv: Sequence[str]) -> bool:
    """Whether a command line is QEMU's."""
    return _PROGRAM.fullmatch(Path(argv[0]).name) is not None


def guest_ram_bytes(argv: Sequence[str]) -> int:
    """What the command line gives the guest."""
    found = _MEMORY.search(_option(argv, "-m"))
    return int(float(found[1]) * _UNITS[found[2].lower()]) if found else _DEFAULT_BYTES


def own_cgroups(pid: int, proc: Path) -> dict[str, Path]:
    """The cgroup that holds this process and no other; empty where it shares one.

    libvirt puts parts of a machine into groups below that of the machine: a parent
    that holds nobody else is the machine's, unless it is a slice.
    """
    for name, folder in cgroup_folders(pid, proc).items():
        if name in ("memory", "unified") and process.cgroup_pids(folder) == (pid,):
            return {name: _whole(folder, pid)}
    return {}


def _whole(folder: Path, pid: int) -> Path:
    while _alone(folder.parent, pid):
        folder = folder.parent
    return folder


def _alone(folder: Path, pid: int) -> bool:
    is_group = (folder / "cgroup.procs").exists() and (folder.parent / "cgroup.procs").exists()
    return is_group and folder.suffix != ".slice" and process.cgroup_pids(folder) == (pid,)


def _option(argv: Sequence[str], name: str) -> str:
    """The value of an option, which QEMU takes with one dash or two."""
    for word, value in pairwise(argv):
        if word in (name, f"-{name}"):
            return value.removeprefix("guest=")
    return ""
