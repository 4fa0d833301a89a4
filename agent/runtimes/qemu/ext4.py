"""Writing a file tree as an ext4 file system in a file, without a root's powers.

``mke2fs -d`` takes contents, links and folders from a folder of ours; ``debugfs`` then
gives each its owner and mode, and makes the devices. Both come with e2fsprogs.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from agent.runtimes.images.tree import Node, Tree
from agent.runtimes.images.unfit import UnfitImage

PROGRAMS = ("mke2fs", "debugfs")
# What a workload may write beside what its image brings; a sparse file, so it costs nothing.
FREE_BYTES = 2 << 30
_BLOCK_BYTES = 4096
_FREE_INODES = 16384


class DiskError(OSError):
    """A tool of e2fsprogs failed; the text is what it said."""


def content_bytes(tree: Tree) -> int:
    """What the contents of a tree take in whole blocks; of a file with several names, once."""
    sizes = {id(node): node.content.size for _, node in tree.walk() if node.content is not None}
    return sum(-(-size // _BLOCK_BYTES) * _BLOCK_BYTES for size in sizes.values())


def write_ext4(tree: Tree, target: Path, scratch: Path) -> None:
    """Write ``tree`` as the file system ``target``; ``scratch`` is an empty folder for it.

    Blocks. Raises ``UnfitImage`` for a name that cannot be written, and ``OSError``.
    """
    staged = scratch / "tree"
    staged.mkdir()
    _stage(tree, staged)
    blocks = (content_bytes(tree) * 9 // 8 + FREE_BYTES) // _BLOCK_BYTES
    inodes = sum(1 for _ in tree.walk()) + _FREE_INODES
    _run(
        *("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(_BLOCK_BYTES), "-N", str(inodes)),
        *("-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=0,root_owner=0:0"),
        *("-d", str(staged), str(target), str(blocks)),
    )
    orders = scratch / "orders"
    orders.write_bytes(b"".join(line + b"\n" for line in _orders(tree)))
    _run("debugfs", "-w", "-f", str(orders), str(target))


def lack() -> str:
    """What this host lacks for such disks, in a sentence; empty if nothing."""
    missing = next((name for name in PROGRAMS if shutil.which(name, path=_path()) is None), "")
    return f"{missing} is not on the PATH (package e2fsprogs)" if missing else ""


def _stage(tree: Tree, folder: Path) -> None:
    """Write contents, folders and links below ``folder``, as our own user."""
    names: dict[int, bytes] = {}
    for path, node in tree.walk():
        place = os.path.join(os.fsencode(folder), path)  # noqa: PTH118 (names are bytes)
        kind = stat.S_IFMT(node.mode)
        if kind == stat.S_IFDIR:
            os.mkdir(place)  # noqa: PTH102
        elif first := names.get(id(node)):
            os.link(first, place)
        elif kind == stat.S_IFLNK:
            os.symlink(_target(node), place)  # noqa: PTH211
        elif kind == stat.S_IFREG:
            names[id(node)] = place
            _copy(node, place)


def _copy(node: Node, place: bytes) -> None:
    with open(place, "xb") as out:  # noqa: PTH123
        if node.content is not None:
            with node.content.open() as source:
                shutil.copyfileobj(source, out, 1 << 20)


def _target(node: Node) -> bytes:
    if node.content is None:
        return b""
    with node.content.open() as source:
        return source.read()


def _orders(tree: Tree) -> Iterator[bytes]:
    """What debugfs is told, a line each."""
    for path, node in tree.walk():
        if b"\n" in path:
            raise UnfitImage(f"the name {path.decode(errors='replace')!r} has a line break in it")
        where = _quoted(b"/" + path)
        if what := _special(node):  # mknod knows no paths
            folder, _, name = path.rpartition(b"/")
            yield b"cd " + _quoted(b"/" + folder)
            yield b"mknod %s %s" % (_quoted(name), what)
        yield b"sif %s mode 0%o" % (where, node.mode)
        yield b"sif %s uid %d" % (where, node.uid)
        yield b"sif %s gid %d" % (where, node.gid)


def _special(node: Node) -> bytes:
    """What mknod is to make of a node; empty for what mke2fs has made."""
    match stat.S_IFMT(node.mode):
        case stat.S_IFCHR:
            return b"c %d %d" % node.device
        case stat.S_IFBLK:
            return b"b %d %d" % node.device
        case stat.S_IFIFO:
            return b"p"
        case _:
            return b""


def _quoted(name: bytes) -> bytes:
    return b'"' + name.replace(b'"', b'""') + b'"'


def _run(*command: str) -> None:
    """Run a tool. Debugfs fails by what it says: its exit code is 0 all the same."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PATH": _path(), "LC_ALL": "C"},
        check=False,
    )
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    trouble = [line for line in said if not line.startswith(("debugfs 1.", "mke2fs 1."))]
    if done.returncode != 0 or (command[0] == "debugfs" and trouble):
        raise DiskError(f"{command[0]} failed: {'; '.join(trouble[:3]) or done.returncode}")


def _path() -> str:
    """Where e2fsprogs lies is not on every user's path."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
