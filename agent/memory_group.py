"""A memory cgroup with a hard limit, for a ramp whose limit is to be the kernel's.

Made at the root of the hierarchy, as engines make theirs: below the agent's own it
would be a path that engines make anew in every other hierarchy, and nobody removes.
Both versions: the memory hierarchy of version 1, else the unified one. Swap is
excluded where the kernel accounts for it: memory that could go there would be no limit.

A group's name says whose it is, so that one which outlived its agent is found again.
Engines make the same path in the hierarchies of their other controllers and leave it
there: a removal goes through all of them.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import RuntimeUnavailable

ROOT = Path("/sys/fs/cgroup")
_PREFIX = "tonnage-limit-"
_REMOVE_SECONDS = 5.0
_RETRY_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A group that was made. ``folder`` is where the memory controller shows it."""

    name: str
    folder: Path
    root: Path = ROOT

    @property
    def path(self) -> str:
        """Its place in every hierarchy, as engines want to be told it."""
        return f"/{self.name}"

    def remove(self) -> list[Path]:
        """Remove it from every hierarchy, with what is empty below; what stays. Blocks up to
        some seconds: a group is busy until the kernel has buried its last task."""
        return _remove(self.name, self.root)


def make(agent_id: str, limit_bytes: int, root: Path = ROOT) -> MemoryGroup:
    """Make a group that holds this much and no more. Blocking.

    Raises ``RuntimeUnavailable`` where this host has no memory controller, or gives none
    to the agent.
    """
    name = f"{_PREFIX}{agent_id}-{secrets.token_hex(4)}"
    try:
        folder = _make(name, limit_bytes, root)
    except OSError as error:
        _remove(name, root)
        raise RuntimeUnavailable(
            f"no memory cgroup with a hard limit can be made: {error}",
            field="density.memory_limit",
            value=str(limit_bytes),
            remedy="The agent must be root on a host with a memory controller (version 1,"
            " or version 2 with memory in the root's cgroup.subtree_control).",
        ) from error
    return MemoryGroup(name, folder, root)


def leftovers(agent_id: str, root: Path = ROOT) -> list[str]:
    """The names of this agent's groups, in whatever hierarchy a part of one is left."""
    prefix = f"{_PREFIX}{agent_id}-"
    found = (name for hierarchy in _hierarchies(root) for name in _names(hierarchy))
    return sorted({name for name in found if name.startswith(prefix)})


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are enough, and there may be many
    except OSError:
        return []


def remove_leftovers(agent_id: str, root: Path = ROOT) -> list[Path]:
    """Remove what is left of this agent's groups; what stays. Blocking."""
    return [left for name in leftovers(agent_id, root) for left in _remove(name, root)]


def _make(name: str, limit_bytes: int, root: Path) -> Path:
    if (root / "memory" / "cgroup.procs").exists():
        return _make_first(root / "memory" / name, limit_bytes)
    return _make_unified(root, name, limit_bytes)


def _make_first(folder: Path, limit_bytes: int) -> Path:
    """Version 1: what is below a group counts in it only with ``use_hierarchy``, which must
    be set before there is anything below; memory with swap is limited after memory."""
    folder.mkdir()
    if (folder / "memory.use_hierarchy").read_text().strip() != "1":
        (folder / "memory.use_hierarchy").write_text("1")
    (folder / "memory.limit_in_bytes").write_text(str(limit_bytes))
    with_swap = folder / "memory.memsw.limit_in_bytes"
    if with_swap.exists():
        with_swap.write_text(str(limit_bytes))
    return folder


def _make_unified(root: Path, name: str, limit_bytes: int) -> Path:
    """Version 2: the controller is shared out by each parent to those below it."""
    if "memory" not in (root / "cgroup.controllers").read_text().split():
        raise OSError("the unified hierarchy has no memory controller")
    if "memory" not in (root / "cgroup.subtree_control").read_text().split():
        (root / "cgroup.subtree_control").write_text("+memory")
    folder = root / name
    folder.mkdir()
    (folder / "memory.max").write_text(str(limit_bytes))
    if (folder / "memory.swap.max").exists():
        (folder / "memory.swap.max").write_text("0")
    (folder / "cgroup.subtree_control").write_text("+memory")
    return folder


def _hierarchies(root: Path) -> Iterator[Path]:
    """The root, for version 2 alone, and what is mounted below it."""
    yield root
    with suppress(OSError):
        yield from (each for each in root.iterdir() if (each / "cgroup.procs").is_file())


def _remove(name: str, root: Path) -> list[Path]:
    deadline = time.monotonic() + _REMOVE_SECONDS
    left = [each / name for each in _hierarchies(root) if (each / name).is_dir()]
    while left := [folder for folder in left if not _removed(folder)]:
        if time.monotonic() > deadline:
            break
        time.sleep(_RETRY_SECONDS)
    return left


def _removed(folder: Path) -> bool:
    """Remove a group and the empty ones below it, the deepest first. Never one that holds a
    process: the kernel refuses."""
    with suppress(OSError):
        for below in list(folder.iterdir()):
            if below.is_dir():
                _removed(below)
        folder.rmdir()
    return not folder.exists()
