"""What was made of images stays as long as it is used, and goes when it is not."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from agent.runtimes.image_cache import ImageCache

DAY = 86400.0


def made(path: Path, days_ago: float) -> Path:
    """A file last used so long ago, made at a time of its own."""
    path.write_bytes(b"made")
    os.utime(path, ns=(int((time.time() - days_ago * DAY) * 1e9), 1_000_000_007))
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_was_not_used_for_long_is_removed_whole(tmp_path: Path) -> None:
    made(tmp_path / "old.disk", 31)
    made(tmp_path / "new.disk", 29)
    tree = tmp_path / "tree"
    (tree / "usr").mkdir(parents=True)
    made(tree / "usr/file", 1)
    os.utime(tree, (time.time() - 31 * DAY,) * 2)
    ImageCache(tmp_path, 30 * DAY).prune()
    assert names(tmp_path) == {"new.disk"}


def test_use_is_remembered_by_later_lives_and_leaves_the_time_of_making(tmp_path: Path) -> None:
    used = made(tmp_path / "used", 31)
    ImageCache(tmp_path, 30 * DAY).use([used, None, tmp_path.parent / "elsewhere"])
    assert used.stat().st_mtime_ns == 1_000_000_007
    ImageCache(tmp_path, 30 * DAY).prune()
    assert names(tmp_path) == {"used"}


def test_a_wall_clock_that_jumps_takes_nothing_that_this_life_has_used(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path, 30 * DAY)
    file = tmp_path / "file"
    made(file, 0)
    cache.use([file])
    made(file, 400)  # as the file looks once the clock was set a year ahead
    cache.prune()
    assert names(tmp_path) == {"file"}


def test_a_long_life_counts_too(tmp_path: Path) -> None:
    now = 1000.0
    cache = ImageCache(tmp_path, 30 * DAY, lambda: now)
    one, two = made(tmp_path / "one", 0), made(tmp_path / "two", 0)
    cache.use([one, two])
    now += 20 * DAY
    cache.use([two])
    now += 20 * DAY
    cache.prune()
    assert names(tmp_path) == {"two"}


def test_a_removal_that_was_cut_short_leaves_nothing_under_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    os.utime(tree, (0, 0))
    made(tmp_path / "file", 31)

    def killed(path: Path) -> None:
        raise PermissionError(path)

    with monkeypatch.context() as broken:
        broken.setattr(shutil, "rmtree", killed)
        ImageCache(tmp_path, 30 * DAY).prune()
    (left,) = names(tmp_path)  # what could be removed was, whatever came before it
    assert left.startswith("gone-")
    ImageCache(tmp_path, 30 * DAY).prune()
    assert names(tmp_path) == set()


def test_a_folder_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    ImageCache(tmp_path / "none", DAY).prune()
