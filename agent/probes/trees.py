"""The files below some paths, each once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_ISDIR

Found = tuple[str, os.stat_result]


def files(paths: Iterable[Path]) -> Iterator[Found]:
    """Every file and folder of these paths and of the trees below them, with its status.

    An inode with several names comes once, and so does a tree named twice or
    inside another. Symbolic links are never followed, except a path given here
    itself; other file systems mounted inside a tree are not entered (a mounted
    overlay shows the files of its layers again). Deletion during the walk is no
    error.
    """
    roots = sorted({Path(os.path.realpath(path)) for path in paths})
    seen: set[tuple[int, int]] = set()
    for root in _outermost(roots):
        for path, stat in _walk(root):
            inode = (stat.st_dev, stat.st_ino)
            if stat.st_nlink > 1 and inode in seen:
                continue
            if stat.st_nlink > 1:
                seen.add(inode)
            yield path, stat


def _outermost(roots: Iterable[Path]) -> Iterator[Path]:
    """Sorted paths without those that lie inside another."""
    last: Path | None = None
    for root in roots:
        if last is None or not root.is_relative_to(last):
            last = root
            yield root


def _walk(root: Path) -> Iterator[Found]:
    """Every file and folder of a tree, on its own file system."""
    try:
        top = root.lstat()
    except OSError:
        return
    yield str(root), top
    folders = [str(root)] if S_ISDIR(top.st_mode) else []
    while folders:
        for entry in _entries(folders.pop()):
            try:
                stat = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.st_dev != top.st_dev:
                continue
            yield entry.path, stat
            if S_ISDIR(stat.st_mode):
                folders.append(entry.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
