"""Where a container's cgroups are: below the agent's own, so that limits on it hold for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.process import Identity, cgroup_pids
from agent.runtimes import cgroups
from agent.runtimes.base import ParentGroup
from agent.runtimes.killing import identities


class Groups:
    """The agent's own cgroups; to be made before it has children."""

    def __init__(
        self, root: Path = cgroups.ROOT, membership: Path = Path("/proc/self/cgroup")
    ) -> None:
        self._root = root
        self._parents = cgroups.parents(root, membership)
        self._own = cgroups.own(root, membership)
        self._mounts = cgroups.mounts(root, membership)

    def obstacle(self) -> str:
        """Why no container can be limited and told from others; empty if nothing is in the way."""
        if "memory" in self._parents or "unified" in self._parents:
            return ""
        return "no cgroup for memory can be made below the agent's own"

    def path(self, name: str, parent: ParentGroup | None = None) -> str:
        """What runc is told: absolute below a parent that is given, and with version 2, where
        runc would go one level up. Else below the caller's own, which differs from one
        hierarchy to the next."""
        if parent is not None:
            return f"{parent.path}/{name}"
        if "unified" in self._parents:
            return f"/{self._parents['unified'].relative_to(self._root) / name}"
        return name

    def folders(self, name: str, parent: ParentGroup | None = None) -> dict[str, Path]:
        """A container's folder in every hierarchy, by controller."""
        if parent is not None:
            inside = f"{parent.path.strip('/')}/{name}"
            return {key: mount / inside for key, mount in self._mounts.items()}
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
