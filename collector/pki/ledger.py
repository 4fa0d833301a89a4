"""What was signed by hand, with the authority's key and no collector in between.

A line of JSON each in ``issued.jsonl``, beside the key, for the collector to take into its
audit log and its list of certificates. Whoever holds the key can sign without it.
"""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
from cryptography import x509

from collector.errors import ConfigError
from collector.model import Certificate
from collector.pki.describe import described

_log = structlog.get_logger(__name__)

Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate, when it was made, by whom, and on which host."""

    at_unix_ns: int
    by: str
    host: str
    certificate: Certificate


class Ledger:
    """The file at ``path``; lines are only ever added."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, certificate: x509.Certificate) -> None:
        """Write a line; it is on disk when this returns. Raises ``ConfigError``."""
        signed = Signed(time.time_ns(), _user(), os.uname().nodename, described(certificate))
        line = json.dumps(asdict(signed)) + "\n"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor
                self._give_to_the_folders_owner(descriptor)
                file.write(line.encode())
                os.fsync(descriptor)
        except OSError as error:
            raise ConfigError(
                f"cannot be written, and nothing is signed without it: {error.strerror}",
                field="--dir",
                value=str(self._path),
                remedy="Be root, or the user that the collector runs as.",
            ) from error

    def stamp(self) -> Stamp:
        """Changes with each line."""
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return (found.st_ino, found.st_size)

    def read(self) -> Sequence[Signed]:
        """Every line, oldest first; one that makes no sense is passed over, and logged."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return ()
        except OSError as error:
            _log.warning("cannot read what was signed by hand", why=str(error))
            return ()
        return [signed for line in lines if (signed := _parsed(line)) is not None]

    def _give_to_the_folders_owner(self, descriptor: int) -> None:
        """Root and the collector's user both add lines."""
        owner = self._path.parent.stat()
        with suppress(PermissionError):
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _parsed(line: bytes) -> Signed | None:
    try:
        told = json.loads(line)
        certificate = Certificate(**told.pop("certificate"))
        return Signed(**told, certificate=certificate)
    except (ValueError, TypeError, KeyError, AttributeError):
        _log.warning("a line about what was signed by hand makes no sense", line=repr(line[:80]))
        return None


def _user() -> str:
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
