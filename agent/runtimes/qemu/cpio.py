"""Writing a file tree as a newc cpio archive, the format of an initramfs.

The format is the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
The same tree gives the same bytes: paths are sorted, inode numbers count up,
times are zero. Contents are streamed.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import BinaryIO

from agent.runtimes.images.tree import Content, Node, Tree
from agent.runtimes.images.unfit import UnfitImage

MAX_FILE_BYTES = 0xFFFF_FFFF  # eight hexadecimal digits
_CHUNK_BYTES = 1 << 20


class CpioError(UnfitImage):
    """The tree does not fit into the format; the text names the path."""


def write_newc(tree: Tree, out: BinaryIO) -> None:
    """Write ``tree`` to ``out``, parents before children, trailer included.

    Names of one hard-linked file share an inode number; its content stands at
    the last of them, where GNU cpio and the kernel both expect it. Raises
    ``CpioError`` for a file of 4 GiB or more.
    """
    _Writer(tree, out).write()


class _Writer:
    def __init__(self, tree: Tree, out: BinaryIO) -> None:
        self._entries = list(tree.walk())
        self._out = out
        self._inode_of: dict[int, int] = {}
        self._names_left: dict[int, int] = {}
        for _, node in self._entries:
            self._names_left[id(node)] = self._names_left.get(id(node), 0) + 1
        self._links = dict(self._names_left)

    def write(self) -> None:
        for path, node in self._entries:
            self._entry(path, node)
        self._header(b"TRAILER!!!", Node(mode=0), inode=0, links=1, size=0)

    def _entry(self, path: bytes, node: Node) -> None:
        inode = self._inode_of.setdefault(id(node), len(self._inode_of) + 1)
        self._names_left[id(node)] -= 1
        last_name = not self._names_left[id(node)]
        content = node.content if last_name else None
        size = content.size if content is not None else 0
        if size > MAX_FILE_BYTES:
            raise CpioError(f"{path.decode(errors='replace')} is larger than 4 GiB")
        links = 2 if stat.S_ISDIR(node.mode) else self._links[id(node)]
        self._header(path, node, inode=inode, links=links, size=size)
        if content is not None:
            self._body(content)

    def _header(self, name: bytes, node: Node, *, inode: int, links: int, size: int) -> None:
        words = (
            inode,
            node.mode,
            node.uid,
            node.gid,
            links,
            0,  # mtime
            size,
            0,  # major and minor of the device the file lay on
            0,
            *node.device,
            len(name) + 1,
            0,  # no checksum in this variant
        )
        header = b"070701" + b"".join(b"%08X" % word for word in words) + name + b"\0"
        self._out.write(header + _padding(len(header)))

    def _body(self, content: Content) -> None:
        written = 0
        for chunk in _chunks(content):
            self._out.write(chunk)
            written += len(chunk)
        if written != content.size:
            raise CpioError(f"a layer ended early: {content.size - written} bytes are missing")
        self._out.write(_padding(written))


def _chunks(content: Content) -> Iterator[bytes]:
    left = content.size
    with content.open() as source:
        while left and (chunk := source.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk


def _padding(length: int) -> bytes:
    return bytes(-length % 4)
