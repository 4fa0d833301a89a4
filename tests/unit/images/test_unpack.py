"""A tree becomes files as it says, and nothing outside its folder."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

import pytest

from agent.runtimes.images.layers import flatten
from agent.runtimes.images.unpack import write_tree
from tests.unit.images.archive_makers import layer, member, opened, program

OWN = {"uid": os.getuid(), "gid": os.getgid()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder beside what must not be touched."""
    (tmp_path / "outside").write_text("untouched")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def _unpack(root: Path, *layers: bytes) -> None:
    write_tree(flatten([opened(data) for data in layers]), root)


def _mine(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid, info.gid = OWN["uid"], OWN["gid"]
    return info


def test_files_folders_and_links_are_written(root: Path) -> None:
    run, data = program("bin/run", b"#!x")
    run.mode = 0o4755
    _unpack(
        root,
        layer(
            _mine(member("bin", tarfile.DIRTYPE, mode=0o711)),
            (_mine(run), data),
            _mine(member("bin/same", tarfile.LNKTYPE, linkname="bin/run")),
            _mine(member("bin/short", tarfile.SYMTYPE, linkname="run")),
        ),
    )
    written = root / "bin/run"
    assert written.read_bytes() == b"#!x"
    assert stat.S_IMODE(written.stat().st_mode) == 0o4755
    assert (root / "bin/same").samefile(written)
    assert (root / "bin/short").readlink() == Path("run")
    assert stat.S_IMODE((root / "bin").stat().st_mode) == 0o711


def test_a_link_that_leads_outside_is_written_and_never_followed(root: Path) -> None:
    _unpack(
        root,
        layer(_mine(member("out", tarfile.SYMTYPE, linkname=".."))),
        layer((_mine(member("out/outside", size=3, mode=0o644)), b"new")),
    )
    assert (root.parent / "outside").read_text() == "untouched"
    assert (root / "out/outside").read_bytes() == b"new"


def test_the_same_tree_is_refused_a_folder_that_holds_it(root: Path) -> None:
    _unpack(root, layer((_mine(member("a", size=1, mode=0o600)), b"1")))
    with pytest.raises(FileExistsError):
        _unpack(root, layer((_mine(member("a", size=1, mode=0o600)), b"2")))
