"""Disk by allocated blocks: what a tree really takes, not what it says it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.probes.base import NoData, Reading
from agent.probes.trees import files
from agent.process import ProcessView

BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own: stat(2)


class Disk:
    """Allocated blocks of the instances' own files."""

    name = "disk"

    def read(self, instances: Sequence[ProcessView]) -> Reading | NoData:
        """Read now. What was deleted meanwhile counts as nothing."""
        paths = [path for view in instances for path in view.paths]
        return Reading({"disk_marginal_bytes": allocated_bytes(paths)})


def allocated_bytes(paths: Iterable[Path]) -> int:
    """The blocks allocated to files and whole trees, folders included.

    Which files count is told by ``trees.files``. Sparse files count what they
    hold. Extents shared by reflinks count for each file.
    """
    return sum(stat.st_blocks * BLOCK_BYTES for _, stat in files(paths))
