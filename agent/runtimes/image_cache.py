"""What runtimes make of images once and use for many launches, until nobody has for long."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

_log = structlog.get_logger("agent.runtimes")
_GOING = "gone-"


class ImageCache:
    """A folder of such files and trees.

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
        """Note the use of those that lie in the folder. Blocks. Raises ``FileNotFoundError``
        for one that is gone."""
        for path in paths:
            if path is not None and path.parent == self._folder:
                self._used[path] = self._clock()
                modified_ns = path.stat().st_mtime_ns  # an overlay is found by its base's
                try:
                    os.utime(path, ns=(time.time_ns(), modified_ns))
                except OSError as error:
                    _log.warning("its use is not noted for later", path=str(path), why=str(error))

    def prune(self) -> None:
        """Remove what was not used for so long. What cannot be removed is told in the log and
        tried again next time. Blocks."""
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            try:
                if self._idle(path):
                    self._remove(path)
            except OSError as error:
                _log.warning("what was made of an image stays", path=str(path), why=str(error))

    def _idle(self, path: Path) -> bool:
        if path.name.startswith(_GOING):
            return True
        used = self._used.get(path)
        since = time.time() - path.lstat().st_atime if used is None else self._clock() - used
        return since > self._keep_seconds

    def _remove(self, path: Path) -> None:
        """Whatever becomes of us, no half of a tree is left under its name."""
        going = self._folder / f"{_GOING}{uuid.uuid4().hex}"
        path.rename(going)
        self._used.pop(path, None)
        if going.is_dir() and not going.is_symlink():
            shutil.rmtree(going)
        else:
            going.unlink()
