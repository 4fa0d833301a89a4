"""The bearer tokens that scrapers show, from a file with one a line.

Two lines are two valid tokens, so that one takes over from the other while both work.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path

import structlog

from collector.errors import ConfigError
from collector.pki.folder import write_text

_log = structlog.get_logger(__name__)

_BYTES = 24
_LEAST = 16
_SCHEME = "bearer"


class ScrapeTokens:
    """The tokens in a file, which is made if it is missing and read again when it changed.

    Raises ``ConfigError`` at first where it cannot be read; later it goes on with what it
    has and logs why. Any thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            write_text(path, f"{secrets.token_urlsafe(_BYTES)}\n", mode=0o600)
        self._stamp = (0, 0, 0)
        self._hashes: tuple[str, ...] = ()
        self._read()

    def accepts(self, authorization: str) -> bool:
        """Whether an ``Authorization`` header carries one of the tokens."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != _SCHEME:
            return False
        shown = _sha256(token.strip())
        return sum(hmac.compare_digest(shown, each) for each in self.hashes()) > 0

    def hashes(self) -> Sequence[str]:
        """SHA-256 of each token, in hexadecimal: all that agents are told."""
        try:
            self._read()
        except ConfigError as error:
            _log.warning("keeping the scrape tokens in use", why=str(error))
        return self._hashes

    def _read(self) -> None:
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp == self._stamp:
                return
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(f"cannot be read: {error}") from error
        tokens = [line.strip() for line in lines if line.strip()]
        if not tokens or min(map(len, tokens)) < _LEAST:
            raise self._unusable(f"needs a token of {_LEAST} characters or more on each line")
        self._hashes, self._stamp = tuple(map(_sha256, tokens)), stamp

    def _unusable(self, why: str) -> ConfigError:
        return ConfigError(
            why,
            field="tls_dir",
            value=str(self._path),
            remedy="Mend the file, or remove it to have a new one made.",
        )


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
