"""Layers become the tree that overlayfs would show."""

from __future__ import annotations

import stat
import tarfile

import pytest

from agent.runtimes.images.layers import BadLayer, flatten
from agent.runtimes.images.tree import Tree, UnsafePath, read
from tests.unit.images.archive_makers import layer, member, opened


def _flat(*layers: bytes) -> Tree:
    return flatten([opened(data) for data in layers])


def _paths(tree: Tree) -> list[str]:
    return [path.decode() for path, _ in tree.walk()]


def _content(tree: Tree, path: str) -> bytes:
    node = tree.get(path.encode())
    assert node is not None
    return read(node)


def test_an_upper_layer_wins() -> None:
    tree = _flat(layer(("a", b"lower")), layer(("a", b"upper")))
    assert _content(tree, "a") == b"upper"


def test_a_whiteout_removes_a_file_of_a_lower_layer() -> None:
    tree = _flat(layer("d/", ("d/a", b""), ("d/b", b"")), layer(("d/.wh.a", b"")))
    assert _paths(tree) == ["d", "d/b"]


def test_a_whiteout_removes_a_whole_directory() -> None:
    tree = _flat(layer("d/", "d/e/", ("d/e/f", b"")), layer((".wh.d", b"")))
    assert _paths(tree) == []


@pytest.mark.parametrize("order", [0, 1])
def test_a_whiteout_spares_its_own_layer_wherever_it_stands(order: int) -> None:
    own, hide = ("d/a", b"new"), ("d/.wh.a", b"")
    upper = layer("d/", *((own, hide) if order else (hide, own)))
    tree = _flat(layer("d/", ("d/a", b"old")), upper)
    assert _content(tree, "d/a") == b"new"


@pytest.mark.parametrize("order", [0, 1])
def test_an_opaque_directory_shows_only_its_own_layer(order: int) -> None:
    own, hide = ("d/new", b""), ("d/.wh..wh..opq", b"")
    upper = layer("d/", *((own, hide) if order else (hide, own)))
    tree = _flat(layer("d/", "d/deep/", ("d/deep/x", b""), ("keep", b"")), upper)
    assert _paths(tree) == ["d", "d/new", "keep"]


def test_records_of_aufs_mean_nothing() -> None:
    assert _paths(_flat(layer(".wh..wh.plnk/", (".wh..wh.aufs", b"")))) == []


def test_a_directory_over_a_directory_keeps_the_children_and_takes_the_mode() -> None:
    lower = layer(member("d", tarfile.DIRTYPE, mode=0o755), ("d/a", b""))
    tree = _flat(lower, layer(member("d", tarfile.DIRTYPE, mode=0o1777, uid=5)))
    node = tree.get(b"d")
    assert node is not None
    assert stat.S_IMODE(node.mode) == 0o1777
    assert node.uid == 5
    assert _paths(tree) == ["d", "d/a"]


def test_a_file_over_a_directory_replaces_it_and_the_reverse() -> None:
    tree = _flat(layer("a/", ("a/x", b""), ("b", b"")), layer(("a", b"file"), "b/", ("b/y", b"")))
    assert _paths(tree) == ["a", "b", "b/y"]


def test_a_parent_that_is_a_link_below_is_hidden_by_a_directory() -> None:
    lower = layer("usr/", member("lib", tarfile.SYMTYPE, linkname="usr"))
    tree = _flat(lower, layer(("lib/x", b"1")))
    assert _paths(tree) == ["lib", "lib/x", "usr"]


def test_hard_links_are_one_inode_even_across_layers() -> None:
    link = member("b", tarfile.LNKTYPE, linkname="a")
    far = member("c", tarfile.LNKTYPE, linkname="./a")
    tree = _flat(layer(("a", b"1"), link), layer(far))
    assert tree.get(b"a") is tree.get(b"b") is tree.get(b"c")


def test_replacing_one_name_of_a_hard_link_leaves_the_other() -> None:
    link = member("b", tarfile.LNKTYPE, linkname="a")
    tree = _flat(layer(("a", b"1"), link), layer(("a", b"2")))
    assert (_content(tree, "a"), _content(tree, "b")) == (b"2", b"1")


def test_kinds_owners_modes_and_devices_are_kept() -> None:
    tree = _flat(
        layer(
            member("null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
            member("disk", tarfile.BLKTYPE, mode=0o660, devmajor=8, devminor=1),
            member("pipe", tarfile.FIFOTYPE, mode=0o600),
            member("su", mode=0o4755, uid=1000, gid=2000),
            member("link", tarfile.SYMTYPE, linkname="../x"),
        )
    )
    found = dict(tree.walk())
    assert (stat.S_ISCHR(found[b"null"].mode), found[b"null"].device) == (True, (1, 3))
    assert (stat.S_ISBLK(found[b"disk"].mode), found[b"disk"].device) == (True, (8, 1))
    assert stat.S_ISFIFO(found[b"pipe"].mode)
    su = found[b"su"]
    assert (stat.S_IMODE(su.mode), su.uid, su.gid) == (0o4755, 1000, 2000)
    assert read(found[b"link"]) == b"../x"


@pytest.mark.parametrize("name", ["../etc/passwd", "a/../../b", "a/.."])
def test_a_path_that_leads_outside_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath, match="outside"):
        _flat(layer((name, b"")))


def test_a_whiteout_that_leads_outside_is_refused() -> None:
    with pytest.raises(UnsafePath):
        _flat(layer(("../.wh.x", b"")))


def test_a_hard_link_to_outside_is_refused() -> None:
    with pytest.raises(UnsafePath):
        _flat(layer(member("a", tarfile.LNKTYPE, linkname="../../etc/shadow")))


def test_a_hard_link_to_nothing_is_refused_by_name() -> None:
    with pytest.raises(BadLayer, match="hard link to nowhere"):
        _flat(layer(member("a", tarfile.LNKTYPE, linkname="nowhere")))


def test_absolute_names_are_below_the_root() -> None:
    assert _paths(_flat(layer(("/etc/x", b"")))) == ["etc", "etc/x"]


def test_names_that_are_no_utf8_survive() -> None:
    buffer = layer((b"caf\xe9".decode("utf-8", "surrogateescape"), b""))
    assert [path for path, _ in _flat(buffer).walk()] == [b"caf\xe9"]


def test_resolving_follows_links_inside_the_tree_only() -> None:
    tree = _flat(
        layer(
            ("usr/bin/tool", b"here"),
            member("bin", tarfile.SYMTYPE, linkname="usr/bin"),
            member("up", tarfile.SYMTYPE, linkname="../../../usr/bin/tool"),
            member("abs", tarfile.SYMTYPE, linkname="/bin/tool"),
            member("loop", tarfile.SYMTYPE, linkname="loop"),
        )
    )
    target = tree.get(b"usr/bin/tool")
    assert target is not None
    assert tree.resolve(b"/bin/tool") is target
    assert tree.resolve(b"/up") is target
    assert tree.resolve(b"/abs") is target
    assert tree.resolve(b"/loop") is None
    assert tree.resolve(b"/bin/tool/x") is None
