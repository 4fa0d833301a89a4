"""Where the kernel keeps a container: its cgroups, its first process, its shim.

The engine is asked once, for the first container: the cgroup paths of its
first process, with the container's id taken out, are the pattern for all the
others. So counting and weighing hundreds of containers costs the engine,
which is itself under measurement, nothing.

Where an OCI runtime makes no cgroup for its container (gVisor's with
``--ignore-cgroups``), a container is what descends from its shim, and the engine
is asked for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent import process
from agent.process import PROC, Identity, ProcessView

_CONTROLLERS = ("memory", "cpuacct")
UNIFIED = "unified"
# Whoever starts a container and stays with it. An orphan's parent is none of these, and
# nothing that may be weighed or killed with the container.
SHIMS = ("containerd-shim", "conmon", "runc")


@dataclass(frozen=True, slots=True)
class Place:
    """One container as the kernel sees it.

    ``shim`` is the process that started it: containerd's shim, or podman's conmon.
    ``cgroups`` are its own; empty where it shares those of others.
    """

    init: Identity
    shim: Identity | None
    cgroups: dict[str, Path]

    def pids(self) -> tuple[int, ...]:
        """Every process of it now, the shim included and last."""
        inside = self.members()
        if not inside and not self.init.alive():
            return ()
        shim = (self.shim.pid,) if self.shim is not None and self.shim.alive() else ()
        return (*(inside or (self.init.pid,)), *shim)

    def members(self) -> tuple[int, ...]:
        """The processes in its cgroup; without one, those below its shim, its first one first."""
        if self.cgroups:
            return _members(self.cgroups)
        if self.shim is None or not self.shim.alive():
            return ()
        below = process.descendants(self.shim.pid)
        return tuple(sorted(below, key=lambda pid: pid != self.init.pid))

    def family(self) -> tuple[Identity, ...]:
        """Its processes now, such that each is known again later."""
        return tuple(one for pid in self.pids() if (one := Identity.of(pid)) is not None)

    def view(self, paths: tuple[Path, ...]) -> ProcessView:
        """It, for the probes; empty once it is gone."""
        pids = self.pids()
        return ProcessView(pids, dict(self.cgroups), paths=paths) if pids else ProcessView(())

    def cpu_ns(self) -> int | None:
        """CPU time of the cgroup since it was made, and of the shim's own threads.

        runc, which has ended by then, is in neither. Without a cgroup: of its processes
        and of the children they have waited for (those to ``TICK_NS``).
        """
        inside = self._cgroup_cpu_ns() if self.cgroups else self._members_cpu_ns()
        if inside is None:
            return None
        shim = process.cpu_ns(self.shim.pid) if self.shim is not None else None
        return inside + (shim or 0)

    def _cgroup_cpu_ns(self) -> int | None:
        try:
            if "cpuacct" in self.cgroups:
                return int((self.cgroups["cpuacct"] / "cpuacct.usage").read_text())
            if UNIFIED in self.cgroups:
                stat = (self.cgroups[UNIFIED] / "cpu.stat").read_text().split()
                return int(stat[stat.index("usage_usec") + 1]) * 1000
        except (OSError, ValueError):
            return None
        return None

    def _members_cpu_ns(self) -> int | None:
        spent = [found for pid in self.members() if (found := process.family_cpu_ns(pid))]
        return sum(spent) if spent else None

    def survivors(self, family: Sequence[Identity] = ()) -> list[str]:
        """What is still there of it, in words; empty when all is gone.

        ``family``: its processes before it was removed.
        """
        known = {"first process": self.init, "shim": self.shim}
        left = {one.pid: what for what, one in known.items() if one is not None and one.alive()}
        others = (*self.members(), *(one.pid for one in family if one.alive()))
        left = dict.fromkeys(others, "process") | left
        return [f"{what} {pid}" for pid, what in left.items()]


def _members(folders: dict[str, Path]) -> tuple[int, ...]:
    """The processes of a container: each of its cgroups has them all."""
    return process.cgroup_pids(next(iter(folders.values()))) if folders else ()


class Places:
    """Finds containers by the pattern that the first one showed."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._patterns: dict[str, str] = {}

    def learn(self, container_id: str, init_pid: int) -> Place | None:
        """The place of a container whose first process is known; ``None`` if it is gone."""
        shared = cgroup_folders(init_pid, self._proc)
        folders = {
            controller: own
            for controller, folder in shared.items()
            if (own := _named_after(container_id, folder)) is not None
        }
        if folders:
            self._patterns = {
                controller: str(folder).replace(container_id, "{id}")
                for controller, folder in folders.items()
            }
        return self._at(init_pid, folders)

    def find(self, container_id: str) -> Place | None:
        """The place of a running container, from the kernel alone."""
        folders = {
            controller: Path(pattern.replace("{id}", container_id))
            for controller, pattern in self._patterns.items()
        }
        inside = _members(folders)
        for pid in inside:
            if process.parent(pid, self._proc) not in inside:
                return self._at(pid, folders)
        return None

    def _at(self, init_pid: int, folders: dict[str, Path]) -> Place | None:
        init = Identity.of(init_pid, self._proc)
        if init is None:
            return None
        parent = process.parent(init_pid, self._proc) or 0
        shim = process.comm(parent, self._proc).startswith(SHIMS)
        return Place(init, Identity.of(parent, self._proc) if shim else None, folders)


def _named_after(container_id: str, folder: Path) -> Path | None:
    """The cgroup of the container that this one is, or lies in; ``None`` if it is in none.

    A container that manages cgroups itself, and podman on v2, put the first process
    into one below: the charge and the limit are the outer's.
    """
    outer = [one for one in (folder, *folder.parents) if container_id in one.name]
    return outer[-1] if outer else None


def cgroup_folders(pid: int, proc: Path = PROC) -> dict[str, Path]:
    """The folders of a process's cgroups: ``memory`` and ``cpuacct`` (v1), else ``unified`` (v2).

    From /proc/PID/cgroup and the mounts of /proc/self/mountinfo: cgroups(7),
    proc(5). On a hybrid host the controllers' v1 folders win.
    """
    mounts = dict(_cgroup_mounts(proc))
    found = {}
    for controller, path in _memberships(pid, proc):
        mount = mounts.get(controller)
        if mount is not None:
            root, where = mount
            found[controller] = Path(where) / path.removeprefix(root).lstrip("/")
    if "memory" in found:
        found.pop(UNIFIED, None)
    return {name: folder for name, folder in found.items() if folder.is_dir()}


def _memberships(pid: int, proc: Path) -> Iterator[tuple[str, str]]:
    """Controller and path, of those that matter."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield UNIFIED, path
        for controller in controllers.split(","):
            if controller in _CONTROLLERS:
                yield controller, path


def _cgroup_mounts(proc: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Controller, and the root and the folder of the file system that has it."""
    try:
        lines = (proc / "self" / "mountinfo").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        front, _, back = line.partition(" - ")
        root, where = front.split()[3:5]
        kind, _, options = back.split(" ", 2)
        if kind == "cgroup2":
            yield UNIFIED, (root.rstrip("/"), where)
        elif kind == "cgroup":
            for controller in set(options.split(",")) & set(_CONTROLLERS):
                yield controller, (root.rstrip("/"), where)
