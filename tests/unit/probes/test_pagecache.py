"""The page cache of real files, on a disk: a file on tmpfs has no other place to be in."""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.probes import pagecache
from agent.probes.pagecache import Cached, TooManyFiles, evict, look, read_back, regular_files

CHECKOUT = Path(__file__).resolve().parents[3]
LINUX = tuple(int(part) for part in os.uname().release.split(".")[:2])
SIZE = 5 * pagecache.PAGE_BYTES + 123
# What systemd 252 makes of a unit's SystemCallFilter: a call that it does not know is EPERM.
UNDER_A_FILTER = """
import ctypes, struct, sys, time
from agent.probes import pagecache

class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("rules", ctypes.c_char_p))

rules = b"".join(
    struct.pack("HBBI", *rule)
    for rule in (
        (0x20, 0, 0, 0),  # the number of the call
        (0x15, 0, 1, pagecache._SYS_CACHESTAT),
        (0x06, 0, 0, 0x00050001),  # EPERM
        (0x06, 0, 0, 0x7FFF0000),  # allowed
    )
)
libc = ctypes.CDLL(None, use_errno=True)
no_new_privileges, seccomp, by_filter = 38, 22, 2
assert libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0
assert libc.prctl(seccomp, by_filter, ctypes.byref(Program(4, rules)), 0, 0) == 0
print(pagecache.look(sys.argv[1:], time.monotonic() + 30).cached_bytes)
"""


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder on the checkout's disk."""
    with tempfile.TemporaryDirectory(dir=CHECKOUT, prefix=".pagecache-") as folder:
        yield Path(folder)


@pytest.fixture
def paths(disk: Path) -> tuple[str, ...]:
    """Two files, just written: dirty, and all of them cached."""
    for name in ("a", "b"):
        (disk / name).write_bytes(os.urandom(SIZE))
    return regular_files([disk])


def soon() -> float:
    return time.monotonic() + 30


def test_what_was_just_written_is_cached_and_can_be_evicted(paths: tuple[str, ...]) -> None:
    assert look(paths, soon()) == Cached(2 * SIZE, 2 * SIZE)
    evict(paths, soon())
    assert look(paths, soon()) == Cached(2 * SIZE, 0)


def test_what_was_evicted_can_be_read_back(paths: tuple[str, ...]) -> None:
    evict(paths, soon())
    read_back(paths[:1], soon())
    assert look(paths, soon()) == Cached(2 * SIZE, SIZE)


def test_holes_are_neither_counted_nor_read(disk: Path) -> None:
    image = disk / "image"
    with image.open("wb") as file:
        file.write(os.urandom(SIZE))
        file.seek(1 << 30)
        file.write(b"end")
        file.truncate(2 << 30)
    paths = regular_files([disk])
    held = look(paths, soon())
    assert SIZE < held.total_bytes < SIZE + (1 << 20)
    evict(paths, soon())
    assert look(paths, soon()).cached_bytes == 0
    read_back(paths, soon())
    assert look(paths, soon()) == Cached(held.total_bytes, held.total_bytes)
    with image.open("rb") as file:
        assert pagecache.cached_pages(file.fileno(), 2 << 30) < (2 << 20) // pagecache.PAGE_BYTES


def test_pages_that_a_process_has_mapped_stay_and_are_told(paths: tuple[str, ...]) -> None:
    with (
        Path(paths[0]).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held,
    ):
        assert held[0] is not None
        evict(paths, soon())
        assert 0 < look(paths, soon()).cached_bytes <= SIZE
    evict(paths, soon())
    assert look(paths, soon()).cached_bytes == 0


def test_both_ways_to_ask_the_kernel_agree(paths: tuple[str, ...]) -> None:
    evict(paths[1:], soon())
    for path, pages in zip(paths, (6, 0), strict=True):
        with Path(path).open("rb") as file:
            assert pagecache.by_mincore(file.fileno(), SIZE) == pages
            if LINUX >= (6, 5):
                assert pagecache.by_cachestat(file.fileno()) == pages


def test_a_kernel_without_cachestat_is_asked_by_mincore(
    paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagecache, "_SYS_CACHESTAT", 100_000)
    evict(paths[1:], soon())
    assert look(paths, soon()) == Cached(2 * SIZE, SIZE)


def test_where_a_filter_keeps_cachestat_away_mincore_is_asked(paths: tuple[str, ...]) -> None:
    evict(paths[1:], soon())
    command = [sys.executable, "-c", UNDER_A_FILTER, *paths]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{SIZE}\n", "")


def test_a_file_that_may_not_be_looked_at_is_told(
    paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_cachestat(descriptor: int) -> int:
        raise OSError(errno.EBADF if descriptor < 0 else errno.EPERM, "refused")

    monkeypatch.setattr(pagecache, "by_cachestat", by_cachestat)
    with pytest.raises(PermissionError):
        look(paths, soon())


def test_only_files_that_hold_a_byte_are_looked_at(disk: Path, paths: tuple[str, ...]) -> None:
    (disk / "empty").touch()
    (disk / "link").symlink_to(paths[0])
    os.link(paths[0], disk / "another name")
    os.mkfifo(disk / "pipe")
    assert len(regular_files([disk, Path(paths[0])])) == 2


def test_a_tree_of_too_many_files_is_refused(disk: Path, paths: tuple[str, ...]) -> None:
    assert regular_files([disk], most=2) == paths
    with pytest.raises(TooManyFiles, match="more than 1 files"):
        regular_files([disk], most=1)


def test_the_work_is_bounded_and_a_missing_file_is_told(paths: tuple[str, ...]) -> None:
    for work in (look, evict, read_back):
        with pytest.raises(TimeoutError):
            work(paths, time.monotonic() - 1)
        with pytest.raises(FileNotFoundError):
            work(["/nowhere"], soon())
