"""Where a container's cgroups are: below the agent's own, so that limits on it hold for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.process import Identity, cgroup_pids
from agent.runtimes import cgroups
from agent.runtimes.killing import identities
from agent.runtimes.oci import CgroupRules

_SWAP_LIMIT = "memory.memsw.limit_in_bytes"


class Groups:
    """The agent's own cgroups; to be made before it has children."""

    def __init__(self, root: Path = cgroups.ROOT) -> None:
        self._root = root
        self._parents = cgroups.parents(root)
        self._own = cgroups.own(root)

    @property
    def rules(self) -> CgroupRules:
        """What they allow. Swap is limited by version 1 where it is accounted; version 2
        has a file for it in each group but the root's where the kernel has swap."""
        if "unified" in self._parents:
            swap = (self._parents["unified"] / "memory.swap.max").exists()
            return CgroupRules(swap, unified=True)
        memory = self._parents.get("memory")
        return CgroupRules(memory is not None and (memory / _SWAP_LIMIT).exists(), unified=False)

    def obstacle(self) -> str:
        """Why no container can be limited and told from others; empty if nothing is in the way."""
        if "memory" in self._parents or "unified" in self._parents:
            return ""
        return "no cgroup for memory can be made below the agent's own"

    def path(self, name: str) -> str:
        """What runc is told. Version 1: below the caller's own, which differs from one
        hierarchy to the next. Version 2: absolute, as runc would go one level up."""
        if "unified" in self._parents:
            return f"/{self._parents['unified'].relative_to(self._root) / name}"
        return name

    def folders(self, name: str) -> dict[str, Path]:
        """A container's folder in every hierarchy, by controller."""
        if "unified" in self._parents:
            return {"unified": self._parents["unified"] / name}
        return {key: folder / name for key, folder in self._own.items()}


def members(folders: Mapping[str, Path]) -> tuple[Identity, ...]:
    """Every process in any of these cgroups."""
    found = {pid for folder in folders.values() for pid in cgroup_pids(folder)}
    return identities(sorted(found))


def weighed(folders: Mapping[str, Path]) -> dict[str, Path]:
    """Those that the probes read: of version 1, where it has the memory."""
    wanted = ("memory", "cpuacct") if "memory" in folders else ("unified",)
    return {name: folders[name] for name in wanted if name in folders}
