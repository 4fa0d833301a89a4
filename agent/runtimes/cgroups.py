"""A cgroup for each instance, below the agent's own, so that limits on the agent hold for them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# Where the agent itself goes in a cgroup of version 2 that is its alone.
AGENTS_LEAF = "agent"
_CONTROLLERS = ("memory", "cpuacct")
_REMOVE_SECONDS = 2.0
_RETRY_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Rules:
    """What the host's cgroups allow: whether swap can be limited, and whether they are of
    version 2, where a container has a cgroup namespace of its own."""

    limit_swap: bool
    unified: bool


def parents(root: Path = ROOT, membership: Path = Path("/proc/self/cgroup")) -> dict[str, Path]:
    """The agent's own cgroup folders in which it may make others, by controller; to be asked
    before the agent has children.

    ``memory`` and ``cpuacct`` of version 1 where they are mounted, else ``unified``
    of version 2. Empty where there are none or they may not be written.
    """
    paths = _memberships(membership)
    found = {}
    for controller in _CONTROLLERS:
        folder = _folder(root / controller, paths.get(controller, "/"))
        if folder is not None:
            found[controller] = folder
    if found:
        return found
    unified = _folder(root, paths.get("", "/"))
    return {"unified": _with_memory(unified)} if unified is not None else {}


def _with_memory(own: Path) -> Path:
    """The agent's own cgroup of version 2, with memory accounted to each below it if it can be.

    The kernel shares a controller out only below a group without processes. So in a group
    that holds the agent alone, as a unit's that was delegated to it, the agent moves into a
    leaf. Any other is not its to change: there only CPU time is told of each instance.
    """
    if own.name == AGENTS_LEAF and "memory" in _words(own.parent / "cgroup.subtree_control"):
        return own.parent  # moved before
    alone = _words(own / "cgroup.procs") == [str(os.getpid())]
    if alone and "memory" in _words(own / "cgroup.controllers"):
        with suppress(OSError):  # not delegated after all
            leaf = own / AGENTS_LEAF
            leaf.mkdir(exist_ok=True)
            (leaf / "cgroup.procs").write_text(str(os.getpid()))
            (own / "cgroup.subtree_control").write_text("+memory")
    return own


def own(root: Path = ROOT, membership: Path = Path("/proc/self/cgroup")) -> dict[str, Path]:
    """The agent's own folder for every controller of version 1 that is mounted at its usual
    place, and ``unified`` for version 2."""
    paths = _memberships(membership)
    found = {}
    for name, mount in mounts(root, membership).items():
        path = paths.get(name, paths.get(f"name={name}", paths.get("", "/")))
        inside = mount / path.lstrip("/")
        found[name] = inside if (inside / "cgroup.procs").is_file() else mount
    return found


def mounts(root: Path = ROOT, membership: Path = Path("/proc/self/cgroup")) -> dict[str, Path]:
    """Where each of these hierarchies is mounted."""
    names = [name.removeprefix("name=") or "unified" for name in _memberships(membership)]
    found = {name: root / name for name in names}
    if "unified" in found and not found["unified"].is_dir():
        found["unified"] = root
    return {name: mount for name, mount in found.items() if (mount / "cgroup.procs").is_file()}


def below(parents: Mapping[str, Path], memory: Path | None) -> dict[str, Path]:
    """``parents``, but that memory is charged below the group ``memory``, if there is one."""
    if memory is None:
        return {**parents}
    controller = "unified" if (memory / "cgroup.controllers").exists() else "memory"
    return {**parents, controller: memory}


def rules(root: Path = ROOT, membership: Path = Path("/proc/self/cgroup")) -> Rules:
    """Of the host. Version 1 has a file for swap where it is accounted; version 2 in each
    group but the root's, where the kernel has swap."""
    found = own(root, membership)
    if "memory" in found:
        return Rules((found["memory"] / "memory.memsw.limit_in_bytes").exists(), unified=False)
    unified = found.get("unified")
    return Rules(unified is not None and (unified / "memory.swap.max").exists(), unified=True)


def make(folders: Mapping[str, Path]) -> None:
    """Make the cgroups of one instance. Raises ``OSError``."""
    for folder in folders.values():
        folder.mkdir(exist_ok=True)


def remove(folders: Mapping[str, Path]) -> list[Path]:
    """Remove the cgroups of one instance whose processes have ended; return those that stay.

    Blocks up to two seconds: a group is busy until the kernel has buried its last task.
    """
    deadline = time.monotonic() + _REMOVE_SECONDS
    left = list(folders.values())
    while left := [folder for folder in left if not _removed(folder)]:
        if time.monotonic() > deadline:
            break
        time.sleep(_RETRY_SECONDS)
    return left


def cpu_ns(folders: Mapping[str, Path]) -> int | None:
    """CPU time charged to the instance's cgroup, ``None`` where it has none."""
    if "cpuacct" in folders:
        return _number(folders["cpuacct"] / "cpuacct.usage")
    if "unified" in folders:
        for line in _text(folders["unified"] / "cpu.stat").splitlines():
            key, _, value = line.partition(" ")
            if key == "usage_usec":
                return int(value) * 1000
    return None


def _memberships(membership: Path) -> dict[str, str]:
    """The agent's path in each hierarchy, by controller; ``""`` is version 2's."""
    found = {}
    for line in _text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _folder(mount: Path, path: str) -> Path | None:
    """The folder of a cgroup path, or the mount where only a part of the hierarchy is seen."""
    for folder in (mount / path.lstrip("/"), mount):
        procs = folder / "cgroup.procs"
        if procs.is_file():
            return folder if os.access(procs, os.W_OK) and os.access(folder, os.W_OK) else None
    return None


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
