"""The ids of runs that were begun here: such a run is never begun again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from agent.errors import SpoolError, SpoolFull
from agent.storage.records import NO_ROOM

MOST_KNOWN = 2000


class KnownRuns:
    """The latest ids, oldest first, in a file that is replaced whole. Blocking."""

    def __init__(self, path: Path, most: int = MOST_KNOWN) -> None:
        """Read ``path``, if it is there. Raises ``SpoolError`` when it cannot be read."""
        self._path = path
        self._most = most
        try:
            self._ids = dict.fromkeys(path.read_text().split())
        except FileNotFoundError:
            self._ids = {}
        except (OSError, UnicodeDecodeError) as error:
            raise SpoolError(f"cannot read {path}: {error}") from error

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._ids

    def add(self, run_ids: Iterable[str]) -> None:
        """Know these too, on disk; of too many the oldest are forgotten.

        Raises ``SpoolFull`` or ``SpoolError``; they are known in memory even then.
        """
        fresh = [run_id for run_id in run_ids if run_id not in self._ids]
        if not fresh:
            return
        self._ids.update(dict.fromkeys(fresh))
        for run_id in list(self._ids)[: -self._most]:
            del self._ids[run_id]
        try:
            self._write()
        except OSError as error:
            kind = SpoolFull if error.errno in NO_ROOM else SpoolError
            raise kind(f"cannot write {self._path}: {error.strerror}") from error

    def forget(self, run_id: str) -> None:
        """It was not begun after all."""
        self._ids.pop(run_id, None)

    def _write(self) -> None:
        fresh = self._path.with_name(f"{self._path.name}.new")
        with fresh.open("w") as file:
            file.write("".join(f"{run_id}\n" for run_id in self._ids))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
