"""What the kernel charges to the instances' memory cgroups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.probes.base import NoData, Reading
from agent.probes.read import number, table, text
from agent.process import ProcessView


class CgroupMemory:
    """The sum of the cgroups' charges; v1, v2 and hybrid hosts alike.

    ``cgroup_bytes`` is the charge as the kernel compares it with a limit:
    ``memory.usage_in_bytes`` (v1) or ``memory.current`` (v2), with the groups
    below. It includes page cache first touched by the group
    (``cgroup_inactive_file_bytes`` of it can be had back at once; tools like
    ``docker stats`` subtract that, we keep it beside) and kernel memory, which
    both versions charge (``cgroup_kernel_bytes`` where the kernel tells it).
    A page is charged to one group alone, whoever shares it, so a shared
    library counts for the first user: the sum over instances is right where
    the single figure is not. The shim, outside the group, is in PSS alone.

    Instances without a memory cgroup of their own (a VMM started by the agent)
    give ``NoData``: a sum over only some of them would be called the sum of all.
    """

    name = "cgroup"

    def read(self, instances: Sequence[ProcessView]) -> Reading | NoData:
        """Read now. A group that is gone counts as nothing."""
        running = [view for view in instances if view.pids]
        folders = [folder for view in running if (folder := _folder(view)) is not None]
        if len(folders) < len(running):
            missing = len(running) - len(folders)
            return NoData(
                f"{missing} of {len(running)} instances have no memory cgroup of their own"
            )
        total = dict.fromkeys(("cgroup_bytes", "cgroup_inactive_file_bytes"), 0)
        for name, value in (pair for folder in folders for pair in _charges(folder)):
            total[name] = total.get(name, 0) + value
        return Reading({**total})


def _folder(view: ProcessView) -> Path | None:
    """v1's memory controller where there is one: on a hybrid host v2 has none."""
    if "memory" in view.cgroups:
        return view.cgroups["memory"]
    unified = view.cgroups.get("unified")
    if unified is None:
        return None
    # Of a unified group without the memory controller only the folder is there.
    return None if unified.is_dir() and not (unified / "memory.current").exists() else unified


def _charges(folder: Path) -> Iterator[tuple[str, int]]:
    usage = number(folder / "memory.usage_in_bytes")
    v1 = usage is not None
    if usage is None:
        usage = number(folder / "memory.current")
    if usage is None:
        return
    yield "cgroup_bytes", usage
    content = text(folder / "memory.stat")
    stat = {} if isinstance(content, NoData) else table(content)
    yield (
        "cgroup_inactive_file_bytes",
        stat.get("total_inactive_file", stat.get("inactive_file", 0)),
    )
    kernel = number(folder / "memory.kmem.usage_in_bytes") if v1 else _kernel_v2(stat)
    if kernel is not None:
        yield "cgroup_kernel_bytes", kernel


def _kernel_v2(stat: dict[str, int]) -> int | None:
    """``kernel`` is its sum since 5.18; before, its parts have to do."""
    if "kernel" in stat:
        return stat["kernel"]
    parts = [
        stat[name] for name in ("kernel_stack", "pagetables", "percpu", "slab") if name in stat
    ]
    return sum(parts) if parts else None
