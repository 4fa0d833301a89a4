"""How a guest's memory is shared out, by what guests told of themselves when they were asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collector.model import RunData
from collector.results.subjects import Key, Subjects, stages
from collector.results.told_inside import facts_of
from tonnage.model import Accelerator, Inside, IsolationStage

_OF_KERNEL = ("Slab", "KernelStack", "PageTables", "Percpu")
_OF_USERS = ("AnonPages", "Cached", "Buffers")
"""Fields of /proc/meminfo, proc_meminfo(5). ``Cached`` holds a root that is an initramfs."""


@dataclass(frozen=True, slots=True)
class GuestMemory:
    """One guest, in bytes: its kernel with what it set aside at boot, and its user space."""

    kernel_bytes: int
    userspace_bytes: int


def guest_memories(data: RunData, subjects: Subjects) -> dict[Key, GuestMemory]:
    """Of each VM whose instances told their memory, the middle one by kernel."""
    asked = {
        (host, stage_id): subjects.key(host, stage.target_id)
        for host, stage_id, stage in stages(data, IsolationStage)
    }
    found: dict[Key, GuestMemory] = {}
    for row in data.facts:
        key = asked.get((row.host, row.fact.stage_id)) if isinstance(row.fact, Inside) else None
        if key is not None and key.accelerator is not Accelerator.NONE:
            ram_bytes = subjects.target(key).memory_bytes
            told = sorted(_told(row.fact, ram_bytes), key=lambda guest: guest.kernel_bytes)
            if told:
                found[key] = told[len(told) // 2]
    return found


def _told(inside: object, ram_bytes: int) -> Iterator[GuestMemory]:
    for answer in inside.answers if isinstance(inside, Inside) else ():
        facts = facts_of(answer.facts_json)
        memory = facts.memory_bytes if facts is not None else None
        if memory and "MemTotal" in memory:
            yield _shared_out(memory, ram_bytes)


def _shared_out(memory: Mapping[str, int], ram_bytes: int) -> GuestMemory:
    """What a kernel does not offer (``MemTotal`` against the RAM) is its own code and tables."""
    kernel = ram_bytes - memory["MemTotal"] + sum(memory.get(name, 0) for name in _OF_KERNEL)
    return GuestMemory(kernel, sum(memory.get(name, 0) for name in _OF_USERS))
