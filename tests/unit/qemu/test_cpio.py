"""The archive is what cpio(5) says, and always the same bytes."""

from __future__ import annotations

import io
import stat
import subprocess

import pytest

from agent.runtimes.images.tree import Content, Node, Tree, directory, regular, symlink
from agent.runtimes.qemu.cpio import CpioError, write_newc

FIELDS = (
    *("ino", "mode", "uid", "gid", "nlink", "mtime", "size"),
    *("devmajor", "devminor", "rmajor", "rminor", "name", "check"),
)


def _parse(data: bytes) -> list[tuple[str, dict[str, int], bytes]]:
    """An independent reading of newc."""
    found: list[tuple[str, dict[str, int], bytes]] = []
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        words = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        field = dict(zip(FIELDS, words, strict=True))
        name = data[at + 110 : at + 110 + field["name"] - 1].decode()
        at += -(-(110 + field["name"]) // 4) * 4
        body = data[at : at + field["size"]]
        at += -(-field["size"] // 4) * 4
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        found.append((name, field, body))


def _written(tree: Tree) -> bytes:
    out = io.BytesIO()
    write_newc(tree, out)
    return out.getvalue()


def _tree() -> Tree:
    tree = Tree()
    shared = regular(b"shared", 0o755)
    tree.put(b"z", shared)
    tree.put(b"a/b/c", shared)
    tree.put(b"a", directory(0o700, 7, 8))
    tree.put(b"link", symlink(b"a/b"))
    tree.put(b"null", Node(stat.S_IFCHR | 0o666, device=(1, 3)))
    tree.put(b"odd", regular(b"12345"))
    return tree


def test_every_entry_can_be_read_back_sorted() -> None:
    entries = _parse(_written(_tree()))
    assert [name for name, _, _ in entries] == ["a", "a/b", "a/b/c", "link", "null", "odd", "z"]
    by_name = {name: (field, body) for name, field, body in entries}
    assert by_name["odd"][1] == b"12345"
    assert by_name["link"][1] == b"a/b"
    assert (by_name["null"][0]["rmajor"], by_name["null"][0]["rminor"]) == (1, 3)
    assert (by_name["a"][0]["uid"], by_name["a"][0]["gid"]) == (7, 8)
    assert by_name["a"][0]["mode"] == stat.S_IFDIR | 0o700
    assert all(field["mtime"] == 0 for _, field, _ in entries)


def test_names_of_one_file_share_an_inode_and_the_last_brings_the_content() -> None:
    by_name = {name: (field, body) for name, field, body in _parse(_written(_tree()))}
    first, last = by_name["a/b/c"], by_name["z"]
    assert first[0]["ino"] == last[0]["ino"]
    assert first[0]["nlink"] == last[0]["nlink"] == 2
    assert (first[1], last[1]) == (b"", b"shared")


def test_the_same_tree_gives_the_same_bytes() -> None:
    assert _written(_tree()) == _written(_tree())


def test_another_program_lists_the_same_names() -> None:
    tree = _written(_tree())
    listed = subprocess.run(["cpio", "-t"], input=tree, capture_output=True, check=True)
    assert {"a/b", "link", "odd", "z"} <= set(listed.stdout.decode().split())


def test_content_that_ends_early_is_an_error() -> None:
    tree = Tree()
    tree.put(b"x", Node(stat.S_IFREG | 0o644, content=Content(10, lambda: io.BytesIO(b"12"))))
    with pytest.raises(CpioError, match="8 bytes are missing"):
        _written(tree)


def test_a_file_of_four_gibibytes_is_refused_by_name() -> None:
    tree = Tree()
    huge = Content(1 << 32, lambda: io.BytesIO(b""))
    tree.put(b"huge", Node(stat.S_IFREG | 0o644, content=huge))
    with pytest.raises(CpioError, match="huge"):
        _written(tree)
