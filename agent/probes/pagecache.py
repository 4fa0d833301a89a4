"""The page cache: what of some files it holds, and taking them out of it.

The kernel drops the clean pages of a file that is no longer wanted
(``POSIX_FADV_DONTNEED``), but none that a process has mapped, and none of a file
on tmpfs, which has no other place. So nothing here is taken on trust: ``look``
asks the kernel what is still there, by cachestat(2) (Linux 6.5), else by
mincore(2). Both tell of a file only whoever owns it or may write it.

Names and inodes of files have caches of their own, which stay; ``drop_all``
takes them too, and everything else the host has cached.

Everything here blocks, by the size of the files: call it in a thread.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from agent.probes.trees import files

PAGE_BYTES = mmap.PAGESIZE
MOST_FILES = 100_000
"""An image has tens of thousands at most; looking at so many takes about a second."""

_SYS_CACHESTAT = 451  # the same on every architecture but alpha
_READ_BYTES = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
_MAP_FAILED = ctypes.c_void_p(-1).value


class TooManyFiles(Exception):
    """More than are looked at before each start; the text says how many."""


@dataclass(frozen=True, slots=True)
class Cached:
    """Bytes of some files, holes left out, and how many of them are in the page cache."""

    total_bytes: int
    cached_bytes: int


def regular_files(paths: Iterable[Path], most: int = MOST_FILES) -> tuple[str, ...]:
    """Every regular file of these paths and trees that holds a byte, sorted.

    Raises ``TooManyFiles`` once there are more than ``most``.
    """
    found = []
    for path, stat in files(paths):
        if S_ISREG(stat.st_mode) and stat.st_size:
            found.append(path)
            if len(found) > most:
                raise TooManyFiles(f"more than {most:,} files")
    return tuple(sorted(found))


def look(paths: Sequence[str], deadline: float) -> Cached:
    """What the page cache holds of these files now. Raises ``OSError``: a missing file, no
    right to ask, or ``TimeoutError`` at ``deadline`` (``time.monotonic`` seconds)."""
    total = cached = 0
    for descriptor in _opened(paths, deadline):
        size = sum(end - begin for begin, end in _extents(descriptor))
        total += size
        pages = cached_pages(descriptor, os.fstat(descriptor).st_size)
        cached += min(size, pages * PAGE_BYTES)
    return Cached(total, cached)


def evict(paths: Sequence[str], deadline: float) -> None:
    """Take these files out of the page cache, as far as the kernel lets go of them.
    Raises ``OSError`` as ``look`` does."""
    for descriptor in _opened(paths, deadline):
        os.fdatasync(descriptor)  # a dirty page is never dropped; costs nothing if there is none
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def read_back(paths: Sequence[str], deadline: float) -> None:
    """Read all that these files hold, so that the page cache has it. Raises ``OSError`` as
    ``look`` does."""
    buffer = memoryview(bytearray(_READ_BYTES))
    for descriptor in _opened(paths, deadline):
        for begin, end in _extents(descriptor):
            for at in range(begin, end, _READ_BYTES):
                os.preadv(descriptor, [buffer[: end - at]], at)
                _check(deadline)


def drop_all(proc: Path = Path("/proc")) -> None:
    """Drop everything clean that the whole host has cached. Raises ``OSError``."""
    os.sync()
    (proc / "sys/vm/drop_caches").write_text("3\n")


def cached_pages(descriptor: int, size: int) -> int:
    """How many pages of an open file of ``size`` bytes are cached. Raises ``OSError``."""
    try:
        return by_cachestat(descriptor)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP) and not _filtered(error):
            raise
    return by_mincore(descriptor, size)


def _filtered(error: OSError) -> bool:
    """Whether the call was refused before it reached the kernel, by a filter that does not know
    it (seccomp, as a unit's): then even of no file, where the kernel says ``EBADF``."""
    if error.errno == errno.EPERM:
        try:
            by_cachestat(-1)
        except OSError as of_none:
            return of_none.errno == errno.EPERM
    return False


def by_cachestat(descriptor: int) -> int:
    """The same by cachestat(2). Raises ``OSError``, with ``ENOSYS`` before Linux 6.5."""
    whole = (ctypes.c_uint64 * 2)(0, 0)  # offset and length; 0 is up to the end
    counts = (ctypes.c_uint64 * 5)()  # nr_cache, nr_dirty, nr_writeback, nr_evicted, …
    if _libc.syscall(_SYS_CACHESTAT, descriptor, whole, counts, 0) != 0:
        raise _last_error("cachestat")
    return counts[0]


def by_mincore(descriptor: int, size: int) -> int:
    """The same by mincore(2) over a mapping, which loads nothing. Raises ``OSError``."""
    with _mapped(descriptor, size) as address:
        pages = (ctypes.c_ubyte * -(-size // PAGE_BYTES))()
        if _libc.mincore(address, size, pages) != 0:
            raise _last_error("mincore")
        return sum(page & 1 for page in pages)


@contextmanager
def _mapped(descriptor: int, size: int) -> Iterator[int]:
    address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    if address == _MAP_FAILED:
        raise _last_error("mmap")
    try:
        yield address
    finally:
        _libc.munmap(address, size)


def _extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """From where to where an open file holds something: of a disk's image, less than half."""
    at, size = 0, os.fstat(descriptor).st_size
    while at < size:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        at = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield begin, at


def _opened(paths: Sequence[str], deadline: float) -> Iterator[int]:
    """Each file open for reading, one at a time."""
    for path in paths:
        _check(deadline)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _check(deadline: float, now: Callable[[], float] = time.monotonic) -> None:
    if now() > deadline:
        raise TimeoutError("the files are too many or the disk too slow")


def _last_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
