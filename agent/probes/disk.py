"""Disk by allocated blocks: what a tree really takes, not what it says it holds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from stat import S_ISDIR

from agent.probes.base import NoData, Reading
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

    An inode with several names counts once, and so does a tree named twice or
    inside another. Symbolic links are never followed, except a path given here
    itself; other file systems mounted inside a tree are not entered (a mounted
    overlay shows the files of its layers again). Sparse files count what they
    hold. Extents shared by reflinks count for each file. Deletion during the
    walk is no error.
    """
    roots = sorted({Path(os.path.realpath(path)) for path in paths})
    seen: set[tuple[int, int]] = set()
    total = 0
    for root in _outermost(roots):
        for stat in _walk(root):
            inode = (stat.st_dev, stat.st_ino)
            if stat.st_nlink > 1 and inode in seen:
                continue
            if stat.st_nlink > 1:
                seen.add(inode)
            total += stat.st_blocks * BLOCK_BYTES
    return total


def _outermost(roots: Iterable[Path]) -> Iterator[Path]:
    """Sorted paths without those that lie inside another."""
    last: Path | None = None
    for root in roots:
        if last is None or not root.is_relative_to(last):
            last = root
            yield root


def _walk(root: Path) -> Iterator[os.stat_result]:
    """Every file and folder of a tree, on its own file system."""
    try:
        top = root.lstat()
    except OSError:
        return
    yield top
    folders = [str(root)] if S_ISDIR(top.st_mode) else []
    while folders:
        for entry in _entries(folders.pop()):
            try:
                stat = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.st_dev != top.st_dev:
                continue
            yield stat
            if S_ISDIR(stat.st_mode):
                folders.append(entry.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
