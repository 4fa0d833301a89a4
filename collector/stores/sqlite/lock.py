"""One collector a store: two would drive the same runs."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from collector.errors import StoreUnusable


class FolderLock:
    """An advisory lock that ends with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        """Raises ``StoreUnusable`` when another process holds it or it cannot be made."""
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path.parent, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise StoreUnusable(
                f"another collector holds this store (process {holder})",
                field="store",
                value=str(path.parent),
                remedy="Stop it first, or name another store.",
            ) from error
        os.truncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let go. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _unusable(folder: Path, error: OSError) -> StoreUnusable:
    return StoreUnusable(
        f"the store's folder cannot be used: {error.strerror}",
        field="store",
        value=str(folder),
        remedy="Give a folder that this user may write.",
    )
