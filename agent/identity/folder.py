"""The folder with the agent's key and certificate, replaced so that a crash cannot part them.

::

    agent.key     the key, made here, readable by its owner alone; it never leaves the host
    agent.pem     the certificate for it
    ca.pem        every authority whose certificates count
    collector     the collector's address, as it said when the agent joined
    *.next        a replacement under way
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from agent.errors import ConfigError
from tonnage.identity import Identity, Role
from tonnage.lifetime import Lifetime, lifetime_of
from tonnage.tls import TlsError, TlsFiles, UnknownPeer, certificate_identity

AGAIN = "Join again: tonnage-agent join --force --collector HOST:PORT --token -."


@dataclass(frozen=True, slots=True)
class Issued:
    """What an authority answers to a signing request, PEM."""

    certificate: bytes
    authorities: bytes


class IdentityFolder:
    """An agent's identity on disk. Every method blocks and raises ``ConfigError``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = TlsFiles(path / "agent.pem", path / "agent.key", path / "ca.pem")
        self._collector = path / "collector"

    def exists(self) -> bool:
        """Whether there is an identity; finishes a replacement that a crash cut short."""
        try:
            self._finish()
            return self.files.certificate.exists()
        except OSError as error:
            raise self._unusable(error) from error

    def who(self) -> Identity:
        """Whose certificate it is. Checks that the files fit and that it is an agent's."""
        try:
            found = certificate_identity(self.files.read().certificate)
        except TlsError as error:
            told = error.problem
            raise ConfigError(
                told.message, field="tls_dir", value=told.value, remedy=AGAIN
            ) from error
        except UnknownPeer as error:
            raise self._wrong(str(error)) from error
        if found.role is not Role.AGENT:
            raise self._wrong(f"is the identity of {found.role} {found.name}, not of an agent")
        return found

    def life(self) -> Lifetime:
        """The certificate's."""
        return self._life_of(self.files.certificate)

    def authority_life(self) -> Lifetime:
        """That of the authority in use."""
        return self._life_of(self.files.authorities)

    def _life_of(self, path: Path) -> Lifetime:
        try:
            return lifetime_of(path)
        except TlsError as error:
            told = error.problem
            raise ConfigError(
                told.message, field="tls_dir", value=told.value, remedy=AGAIN
            ) from error

    def collector(self) -> str:
        """The collector's address, empty if none was kept."""
        try:
            return self._collector.read_text().strip() if self._collector.exists() else ""
        except OSError as error:
            raise self._unusable(error) from error

    def keep_key(self, key: bytes) -> None:
        """Make the folder if need be and put a fresh key in it, not in use yet."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(_next(self.files.key), key, 0o600)
        except OSError as error:
            raise self._unusable(error) from error

    def replace(self, issued: Issued, name: str, collector: str = "") -> None:
        """Take the kept key and what was issued for it into use.

        Refuses, and changes nothing in use, what is not for that key or not for the
        agent ``name``.
        """
        self._check(issued, name)
        try:
            _write(_next(self.files.authorities), issued.authorities, 0o644)
            _write(_next(self.files.certificate), issued.certificate, 0o644)
            _next(self.files.authorities).replace(self.files.authorities)
            _next(self.files.key).replace(self.files.key)
            _next(self.files.certificate).replace(self.files.certificate)
            if collector:
                _write(_next(self._collector), f"{collector}\n".encode(), 0o644)
                _next(self._collector).replace(self._collector)
            _sync(self.path)
        except OSError as error:
            raise self._unusable(error) from error

    def _check(self, issued: Issued, name: str) -> None:
        try:
            certificate = x509.load_pem_x509_certificate(issued.certificate)
            x509.load_pem_x509_certificates(issued.authorities)
            who = certificate_identity(issued.certificate)
        except (ValueError, UnknownPeer) as error:
            raise self._wrong(f"cannot take what the collector issued: {error}") from error
        if (who.role, who.name) != (Role.AGENT, name):
            raise self._wrong(f"cannot take a certificate for {who.uri}: this is agent {name}")
        if not _fits(certificate, _next(self.files.key)):
            raise self._wrong("cannot take a certificate that is not for the key made here")

    def _finish(self) -> None:
        """The key goes into use just before its certificate: do the second where only the
        first was done."""
        key, fresh = self.files.key, _next(self.files.certificate)
        if not key.exists() or not fresh.exists():
            return
        try:
            fits = _fits(x509.load_pem_x509_certificate(fresh.read_bytes()), key)
        except ValueError:  # torn: its key was not taken into use
            return
        if fits:
            fresh.replace(self.files.certificate)

    def _wrong(self, message: str) -> ConfigError:
        return ConfigError(message, field="tls_dir", value=str(self.path), remedy=AGAIN)

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"cannot be used: {error.strerror}",
            field="tls_dir",
            value=str(self.path),
            remedy="Check that this user may read and write it, or name another with --tls-dir.",
        )


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


def _fits(certificate: x509.Certificate, key: Path) -> bool:
    loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    return loaded.public_key() == certificate.public_key()


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file anew and wait until it is on disk; its mode holds from the first byte."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
