"""A tree as a file system, read back by the tools that every Linux has for it."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from agent.runtimes.images.tree import Node, Tree, directory, regular, symlink
from agent.runtimes.images.unfit import UnfitImage
from agent.runtimes.qemu import ext4

PATH = "/usr/sbin:/sbin:/usr/bin:/bin"

pytestmark = pytest.mark.skipif(
    shutil.which("mke2fs", path=PATH) is None, reason="e2fsprogs is not installed"
)


def _tool(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": PATH}, check=True)
    return done.stdout


def _stat(disk: Path, path: str) -> str:
    return _tool("debugfs", "-R", f'stat "{path}"', str(disk))


@pytest.fixture
def tree() -> Tree:
    tree = Tree()
    odd = regular(b"hello", 0o4755)
    odd.uid, odd.gid = 1234, 77
    tree.put(b'a/we"ird na\xffme', odd)
    tree.put(b"a/second", odd)
    tree.put(b"private", directory(0o700, 5, 6))
    tree.put(b"private/unreadable", regular(b"secret", 0))
    tree.put(b"link", symlink(b"../../etc/passwd"))
    tree.put(b"dev/null", Node(stat.S_IFCHR | 0o666, device=(1, 3)))
    tree.put(b"dev/pipe", Node(stat.S_IFIFO | 0o600))
    return tree


def test_owners_modes_links_and_devices_are_those_of_the_tree(tree: Tree, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    ext4.write_ext4(tree, disk, tmp_path)
    _tool("e2fsck", "-fn", str(disk))
    second = _stat(disk, "/a/second")
    assert "Type: regular" in second
    assert "Mode:  04755" in second
    assert "User:  1234   Group:    77" in second
    assert "Links: 2" in second
    assert _tool("debugfs", "-R", "cat /a/second", str(disk)) == "hello"
    private = _stat(disk, "/private")
    assert "Mode:  0700" in private
    assert "User:     5   Group:     6" in private
    assert _tool("debugfs", "-R", "cat /private/unreadable", str(disk)) == "secret"
    assert "Mode:  0000" in _stat(disk, "/private/unreadable")
    assert '"../../etc/passwd"' in _stat(disk, "/link")
    assert "Device major/minor number: 01:03" in _stat(disk, "/dev/null")
    assert "Type: FIFO" in _stat(disk, "/dev/pipe")


def test_room_to_write_takes_no_blocks_of_the_host(tree: Tree, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    ext4.write_ext4(tree, disk, tmp_path)
    assert disk.stat().st_size >= ext4.FREE_BYTES
    assert disk.stat().st_blocks * 512 < 32 << 20


def test_a_name_that_no_tool_takes_is_told(tmp_path: Path) -> None:
    tree = Tree()
    tree.put(b"two\nlines", regular(b""))
    with pytest.raises(UnfitImage, match="line break"):
        ext4.write_ext4(tree, tmp_path / "disk", tmp_path)


def test_a_disk_that_cannot_be_written_is_an_error_of_files(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mke2fs failed"):
        ext4.write_ext4(tree, tmp_path / "no-such-folder/disk", tmp_path)


def test_contents_are_counted_in_blocks_and_once(tree: Tree) -> None:
    assert ext4.content_bytes(tree) == 3 * 4096  # the file of two names, the secret, the link
