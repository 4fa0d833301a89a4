"""Ramps with the smallest guest that boots: the size that an earlier run found. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from collector.claims.rules import RULES
from collector.reports import figures
from collector.reports.rows import MemoryFloorRow
from collector.spec import Spec

MARGIN_BYTES = int(RULES["C4"].numbers["margin_mib"]) << 20
"""Added to the least: a size that fails one launch in ten is mostly found to hold in a search."""


def at_the_least(spec: Spec, searched: Sequence[MemoryFloorRow]) -> tuple[Spec, list[str]]:
    """Return the experiment with the smallest guest of each runtime that was searched at the
    least it boots in, plus a margin, and a notice for each. Only ramps are changed."""
    if spec.density is None:
        return spec, []
    notices = []
    for row in searched:
        small = _smallest(spec, row.runtime)
        if row.floor_bytes is None or small is None:
            continue
        size = row.floor_bytes + MARGIN_BYTES
        if size == small:
            continue
        told = f"{row.runtime} boots in {figures.binary_size(row.floor_bytes)}: its smallest guest "
        notices.append(f"{told}gets {figures.binary_size(size)}, not {figures.binary_size(small)}")
        spec = _resized(spec, row.runtime, small, size)
    return spec, notices


def _smallest(spec: Spec, runtime: str) -> int | None:
    targets = [target for target in spec.combinations() if target.entry.runtime == runtime]
    return min((target.memory_bytes for target in targets), default=None)


def _resized(spec: Spec, runtime: str, before: int, after: int) -> Spec:
    """The experiment with one size of one runtime replaced. Its targets keep their names."""
    targets = tuple(
        entry.model_copy(
            update={"memory": tuple(after if size == before else size for size in entry.memory)}
        )
        if entry.runtime == runtime
        else entry
        for entry in spec.targets
    )
    return spec.model_copy(update={"targets": targets})
