"""From the entries of ``targets`` to single targets: every combination of their factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple, TypeVar

from collector.spec.parts import Part, TargetSpec
from tonnage.model import Mode, Network

_MEMORY = 3  # its place among the factors
T = TypeVar("T", bound=Part)


class Combination(NamedTuple):
    """One target of the experiment: an entry of ``targets`` with its factors chosen."""

    id: str
    entry: TargetSpec
    variant: str | None
    mode: Mode
    network: Network
    memory_bytes: int
    cpus: int
    workload: str | None

    def called(self, name: str) -> bool:
        """Whether ``name`` means this target: its id, its entry's name, or its runtime."""
        return name in (self.id, self.entry.name, self.entry.runtime)


def expand(entry: TargetSpec) -> Iterator[Combination]:
    """Every target of an entry, in the order of its factors."""
    factors: tuple[tuple[Any, ...], ...] = (
        entry.variant or (None,),
        entry.mode,
        entry.network,
        entry.memory,
        entry.cpus,
        entry.workload or (None,),
    )
    for levels in product(*factors):
        chosen = [
            _level(level, index)
            for index, (level, factor) in enumerate(zip(levels, factors, strict=True))
            if len(factor) > 1
        ]
        yield Combination("-".join([entry.name or entry.runtime, *chosen]), entry, *levels)


def _level(level: Any, index: int) -> str:
    if index == _MEMORY:
        return f"{level // 2**20}m" if level % 2**20 == 0 else f"{level}b"
    return f"{level}cpu" if index == _MEMORY + 1 else str(level)


def tweaked(experiment: T, tweaks: Mapping[str, Part], target: Combination) -> T:
    """Return ``experiment`` with what ``tweaks`` says otherwise of ``target``.

    A tweak by the target's own name outweighs one by its runtime.
    """
    for name in (target.entry.runtime, target.entry.name, target.id):
        if name is not None and name in tweaks:
            changes = {key: getattr(tweaks[name], key) for key in tweaks[name].model_fields_set}
            experiment = experiment.model_copy(update=changes)
    return experiment
