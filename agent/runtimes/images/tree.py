"""A file tree in memory: names, kinds and owners; contents stay where they lie.

It is what the layers of an image are flattened into. Nothing is ever written
to the host's file system by a name from an image, so no root is needed and no
layer can reach outside; a path that tries is refused all the same.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO

from agent.runtimes.images.unfit import UnfitImage

MAX_SYMLINKS = 40  # as Linux: path_resolution(7)


class UnsafePath(UnfitImage):
    """A path that leads outside the tree; the text names it."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes of a file: how many, and how to open a stream that begins with them."""

    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]


def content_of(data: bytes) -> Content:
    """Content that is held in memory."""
    return Content(len(data), lambda: io.BytesIO(data))


@dataclass(slots=True, eq=False)
class Node:
    """One inode: ``mode`` with its file type, owner, device (major, minor), content
    (of a symbolic link: its target), and for a directory its children by name."""

    mode: int
    uid: int = 0
    gid: int = 0
    device: tuple[int, int] = (0, 0)
    content: Content | None = None
    children: dict[bytes, Node] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        """Whether it can have children."""
        return stat.S_ISDIR(self.mode)


def directory(permissions: int = 0o755, uid: int = 0, gid: int = 0) -> Node:
    """A new empty directory."""
    return Node(stat.S_IFDIR | permissions, uid, gid)


def regular(data: bytes, permissions: int = 0o644) -> Node:
    """A new file of root's with its content in memory."""
    return Node(stat.S_IFREG | permissions, content=content_of(data))


def symlink(target: bytes) -> Node:
    """A new symbolic link of root's."""
    return Node(stat.S_IFLNK | 0o777, content=content_of(target))


def split_path(path: bytes) -> tuple[bytes, ...]:
    """The names in a path below the tree's root.

    A leading ``/`` or ``./`` means the root. Raises ``UnsafePath`` for ``..``
    and for an embedded NUL.
    """
    names = tuple(name for name in path.split(b"/") if name not in (b"", b"."))
    if b".." in names or b"\0" in path:
        raise UnsafePath(f"the path {path.decode(errors='replace')!r} leads outside the image")
    return names


class Tree:
    """A root directory and what is below it."""

    def __init__(self) -> None:
        self.root = directory()

    def put(self, path: bytes, node: Node) -> None:
        """Set ``path`` to ``node``, making its parents.

        A directory put over a directory keeps the children; anything else
        replaces what was there. A parent that is no directory is replaced by
        one, as an upper layer hides a lower one in overlayfs.
        """
        names = split_path(path)
        if not names:
            if node.is_directory:
                node.children = self.root.children
                self.root = node
            return
        parent = self.make_directories(names[:-1])
        old = parent.children.get(names[-1])
        if old is not None and old.is_directory and node.is_directory:
            node.children = old.children
        parent.children[names[-1]] = node

    def make_directories(self, names: tuple[bytes, ...]) -> Node:
        """Return the directory at ``names``, making it and its parents as needed."""
        node = self.root
        for name in names:
            child = node.children.get(name)
            if child is None or not child.is_directory:
                child = node.children[name] = directory()
            node = child
        return node

    def get(self, path: bytes) -> Node | None:
        """What is at ``path`` itself; symbolic links are not followed."""
        node: Node | None = self.root
        for name in split_path(path):
            node = node.children.get(name) if node is not None else None
        return node

    def remove(self, path: bytes) -> None:
        """Remove ``path`` and all below it, if it is there."""
        *parents, name = split_path(path)
        parent = self.get(b"/".join(parents))
        if parent is not None:
            parent.children.pop(name, None)

    def clear(self, path: bytes) -> None:
        """Remove all that is below ``path``."""
        node = self.get(path)
        if node is not None:
            node.children.clear()

    def resolve(self, path: bytes) -> Node | None:
        """What ``path`` leads to inside the tree, following symbolic links as a
        kernel with this root would: ``..`` at the root stays there."""
        pending = list(reversed([name for name in path.split(b"/") if name]))
        trail = [self.root]
        followed = 0
        while pending:
            name = pending.pop()
            if name == b".":
                continue
            if name == b"..":
                trail = trail[:-1] or [self.root]
                continue
            child = trail[-1].children.get(name)
            if child is None:
                return None
            if not stat.S_ISLNK(child.mode):
                trail.append(child)
                continue
            followed += 1
            if followed > MAX_SYMLINKS:
                return None
            target = read(child)
            if target.startswith(b"/"):
                trail = [self.root]
            pending.extend(reversed([part for part in target.split(b"/") if part]))
        return trail[-1]

    def walk(self) -> Iterator[tuple[bytes, Node]]:
        """Every path but the root with its node; sorted, parents before children."""
        yield from _walk(b"", self.root)


def read(node: Node, limit_bytes: int = 1 << 20) -> bytes:
    """The first ``limit_bytes`` of a node's content."""
    if node.content is None:
        return b""
    with node.content.open() as source:
        return source.read(min(node.content.size, limit_bytes))


def _walk(prefix: bytes, node: Node) -> Iterator[tuple[bytes, Node]]:
    for name in sorted(node.children):
        child = node.children[name]
        path = prefix + name
        yield path, child
        if child.is_directory:
            yield from _walk(path + b"/", child)
