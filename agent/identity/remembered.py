"""A set of hexadecimal words that the collector tells, kept over restarts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

_log = structlog.get_logger("agent.identity")


class Remembered:
    """One word a line in a file; in memory alone where ``path`` is ``None``.

    Reading is safe in any thread. A file that cannot be read or written costs a
    warning: what was last told still holds while this process lives.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._words = self._read()

    def __contains__(self, word: object) -> bool:
        return word in self._words

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._words))

    def replace(self, words: Iterable[str]) -> None:
        """Remember these and no others. Blocking, where they are others than before."""
        fresh = frozenset(word.lower() for word in words)
        if fresh == self._words:
            return
        self._words = fresh
        if self._path is not None:
            self._write(self._path)

    def add(self, words: Iterable[str]) -> None:
        """Remember these too. Blocking, where they are new."""
        self.replace({*self._words, *words})

    def _read(self) -> frozenset[str]:
        if self._path is None or not self._path.exists():
            return frozenset()
        try:
            return frozenset(self._path.read_text().split())
        except (OSError, ValueError) as error:
            _log.warning("cannot read what was told", file=str(self._path), reason=str(error))
            return frozenset()

    def _write(self, path: Path) -> None:
        fresh = path.with_name(f"{path.name}.next")
        try:
            fresh.write_text("".join(f"{word}\n" for word in sorted(self._words)))
            fresh.replace(path)
        except OSError as error:
            _log.warning("cannot keep what was told", file=str(path), reason=str(error))
