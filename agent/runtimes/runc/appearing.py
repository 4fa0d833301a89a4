"""The appearance of a file in a folder, as an event on the loop: inotify(7)."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_IN_MOVED_TO = 0x80
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_READ_BYTES = 4096


@contextmanager
def renamed_into(folder: Path) -> Iterator[asyncio.Future[int]]:
    """Gives the ``CLOCK_MONOTONIC`` nanoseconds at which a file was seen to get a name in
    ``folder`` by a rename, which is how a file is written whole. Raises ``OSError``."""
    loop = asyncio.get_running_loop()
    seen: asyncio.Future[int] = loop.create_future()
    descriptor = _checked(_LIBC.inotify_init1(_FLAGS))

    def read() -> None:
        at_monotonic_ns = time.monotonic_ns()
        os.read(descriptor, _READ_BYTES)
        if not seen.done():
            seen.set_result(at_monotonic_ns)

    try:
        _checked(_LIBC.inotify_add_watch(descriptor, os.fsencode(folder), _IN_MOVED_TO))
        loop.add_reader(descriptor, read)
        yield seen
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        seen.cancel()


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no folder can be watched: {os.strerror(number)}")
    return result
