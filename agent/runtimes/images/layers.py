"""Layers to one tree: applied in order, with whiteouts as the OCI image spec defines them.

A whiteout hides what *lower* layers have and never what its own layer brings,
wherever in the layer it stands.
"""

from __future__ import annotations

import stat
import tarfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, cast

from agent.runtimes.images.tree import Content, Node, Tree, content_of, split_path
from agent.runtimes.images.unfit import UnfitImage

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_AUFS_OWN = b".wh..wh."  # aufs' own records, which mean nothing here
_KINDS = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.AREGTYPE: stat.S_IFREG,
    tarfile.CONTTYPE: stat.S_IFREG,
    tarfile.GNUTYPE_SPARSE: stat.S_IFREG,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


class BadLayer(UnfitImage):
    """A layer that cannot be applied; the text names the member."""


def flatten(layers: Sequence[tarfile.TarFile]) -> Tree:
    """The tree that ``layers``, lowest first, make together.

    Contents stay in the tars, which must be open for as long as they are read.
    Raises ``UnsafePath`` for a member or hard link that leads outside, and
    ``BadLayer`` for one that cannot be understood.
    """
    tree = Tree()
    for layer in layers:
        members = [(_encode(member.name), member) for member in layer]
        for path, _ in members:
            _hide(tree, path)
        for path, member in members:
            if not _name(path).startswith(_WHITEOUT):
                _apply(tree, path, member, layer)
    return tree


def _hide(tree: Tree, path: bytes) -> None:
    names = split_path(path)
    if not names or not names[-1].startswith(_WHITEOUT):
        return
    folder = b"/".join(names[:-1])
    if names[-1] == _OPAQUE:
        tree.clear(folder)
    elif not names[-1].startswith(_AUFS_OWN):
        tree.remove(folder + b"/" + names[-1].removeprefix(_WHITEOUT))


def _apply(tree: Tree, path: bytes, member: tarfile.TarInfo, layer: tarfile.TarFile) -> None:
    if member.islnk():
        target = tree.get(_encode(member.linkname))
        if target is None or target.is_directory:
            raise BadLayer(f"{member.name} is a hard link to {member.linkname}, which is no file")
        tree.put(path, target)
        return
    kind = _KINDS.get(member.type)
    if kind is None:
        raise BadLayer(f"{member.name} has the unknown type {member.type!r}")
    mode = kind | stat.S_IMODE(member.mode)
    device = (member.devmajor, member.devminor) if member.isdev() else (0, 0)
    tree.put(path, Node(mode, member.uid, member.gid, device, _content(member, layer)))


def _content(member: tarfile.TarInfo, layer: tarfile.TarFile) -> Content | None:
    if member.issym():
        return content_of(_encode(member.linkname))
    if not member.isreg():
        return None

    def opened() -> AbstractContextManager[BinaryIO]:
        return cast("AbstractContextManager[BinaryIO]", layer.extractfile(member))

    return Content(member.size, opened)


def _name(path: bytes) -> bytes:
    return path.rstrip(b"/").rsplit(b"/", 1)[-1]


def _encode(name: str) -> bytes:
    """The bytes that tarfile decoded a name from."""
    return name.encode("utf-8", "surrogateescape")
