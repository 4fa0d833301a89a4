"""A tree to files on a disk, for a runtime that shares them among instances.

The names come from an image, but only into folders that were made here and for the tree's
own directories: no symbolic link of the image is ever followed. Needs root, for owners and
devices. Times and extended attributes are not kept.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from agent.runtimes.images.tree import Node, Tree, read

_TARGET_BYTES = 4096  # PATH_MAX


def write_tree(tree: Tree, folder: Path) -> None:
    """Write what is in ``tree`` below ``folder``, which must be there and be empty.

    Raises ``OSError``.
    """
    written: dict[int, bytes] = {}
    root = os.fsencode(folder)
    for path, node in tree.walk():
        place = os.path.join(root, path)  # noqa: PTH118 (names are bytes)
        earlier = written.setdefault(id(node), place)
        if earlier is not place and not node.is_directory:
            os.link(earlier, place, follow_symlinks=False)
        else:
            _write(node, place)
    _own(tree.root, root)


def _write(node: Node, place: bytes) -> None:
    if node.is_directory:
        os.mkdir(place)  # noqa: PTH102
    elif stat.S_ISLNK(node.mode):
        os.symlink(read(node, _TARGET_BYTES), place)  # noqa: PTH211
    elif stat.S_ISREG(node.mode):
        with open(place, "xb") as out:  # noqa: PTH123
            if node.content is not None:
                with node.content.open() as source:
                    shutil.copyfileobj(source, out, 1 << 20)
    else:
        os.mknod(place, node.mode, os.makedev(*node.device))
    _own(node, place)


def _own(node: Node, place: bytes) -> None:
    """Its owner and then its mode: a change of owner takes set-id bits away."""
    os.chown(place, node.uid, node.gid, follow_symlinks=False)
    if not stat.S_ISLNK(node.mode):
        os.chmod(place, stat.S_IMODE(node.mode))  # noqa: PTH101
