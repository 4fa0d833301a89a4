"""What runtimes make of images once and use for many launches, until nobody has for long."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

_log = structlog.get_logger("agent.runtimes")


class Kept:
    """A folder of such files and trees, each made whole before it is put there.

    The last use in this life is known by a clock that nobody sets; of one in an earlier life
    the access time tells, which ``use`` sets. So a wall clock that jumps costs no more than
    making things again.
    """

    def __init__(
        self, folder: Path, keep_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._used: dict[Path, float] = {}

    def use(self, paths: Iterable[Path | None]) -> None:
        """Note the use of those that lie in the folder. Blocks. Raises ``OSError``."""
        for path in paths:
            if path is not None and path.parent == self._folder:
                self._used[path] = self._clock()
                # An overlay is found by its base's time of modification: that stays.
                os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))

    def prune(self) -> None:
        """Remove what was not used for so long. What cannot be removed is told in the log,
        and is tried again next time. Blocks."""
        try:
            idle = [path for path in self._folder.iterdir() if self._idle(path)]
            for path in idle:
                _remove(path)
                self._used.pop(path, None)
        except OSError as error:
            _log.warning("what was made of an image could not be removed", why=str(error))

    def _idle(self, path: Path) -> bool:
        used = self._used.get(path)
        since = time.time() - path.lstat().st_atime if used is None else self._clock() - used
        return since > self._keep_seconds


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
