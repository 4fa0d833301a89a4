"""Allocated blocks of trees that share, link, loop and vanish."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agent.probes.disk import allocated_bytes
from agent.probes.trees import _entries


def write(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    with path.open("rb") as file:
        os.fsync(file.fileno())  # blocks of delayed allocation show only then
    return path


def blocks(*paths: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in paths)


def test_a_tree_is_its_files_and_folders(tmp_path: Path) -> None:
    one, two = write(tmp_path / "t/a", 9000), write(tmp_path / "t/deep/b", 70000)
    expected = blocks(one, two, tmp_path / "t", tmp_path / "t/deep")
    assert allocated_bytes([tmp_path / "t"]) == expected


def test_holes_take_nothing(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    assert allocated_bytes([tmp_path / "sparse"]) < 100_000


def test_an_inode_with_two_names_counts_once(tmp_path: Path) -> None:
    one = write(tmp_path / "a/one", 50000)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/two").hardlink_to(one)
    expected = blocks(one, tmp_path / "a", tmp_path / "b")
    assert allocated_bytes([tmp_path / "a", tmp_path / "b"]) == expected


def test_a_tree_named_twice_or_within_another_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "t/x/file", 50000)
    write(tmp_path / "t-2/file", 50000)
    once = allocated_bytes([tmp_path / "t"]) + allocated_bytes([tmp_path / "t-2"])
    named = [tmp_path / "t", tmp_path / "t/x", tmp_path / "t-2", tmp_path / "t", tmp_path / "t/x"]
    assert allocated_bytes(named) == once


def test_links_are_not_followed_and_loops_end(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", 500000)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "loop").symlink_to(tree)
    (tree / "out").symlink_to(outside)
    assert allocated_bytes([tree]) == blocks(tree, tree / "loop", tree / "out")


def test_a_path_given_as_a_link_is_what_it_points_to(tmp_path: Path) -> None:
    real = write(tmp_path / "vmlinuz-6.1", 50000)
    (tmp_path / "vmlinuz").symlink_to(real)
    assert allocated_bytes([tmp_path / "vmlinuz"]) == blocks(real)


def test_a_link_to_itself_counts_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert allocated_bytes([tmp_path / "self"]) == blocks(tmp_path / "self")


def test_deletion_during_the_walk_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / "t" / name / "file", 5000)

    def delete_then_list(folder: str) -> list[os.DirEntry[str]]:
        listed = _entries(folder)
        shutil.rmtree(folder, ignore_errors=True)
        return listed

    monkeypatch.setattr("agent.probes.trees._entries", delete_then_list)
    assert allocated_bytes([tmp_path / "t"]) >= 0
