"""The folder with the authority's key and the collector's own certificate.

``ca.key`` and ``ca.pem``, ``collector.key`` and ``.pem``, ``operator.key`` and ``.pem``,
``scrape.token``, ``issued.jsonl``. Keys are readable by their owner alone. A file appears
whole or not at all, and none is overwritten unless that is what was asked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from collector.endpoint import OPERATOR
from collector.errors import ConfigError
from collector.model import Certificate
from collector.pki.authority import Authority, make_authority
from collector.pki.describe import described, pem
from collector.pki.ledger import Ledger
from tonnage.identity import Identity, Role
from tonnage.lifetime import utc_now
from tonnage.tls import TlsFiles, UnknownPeer

COLLECTOR = Identity(Role.COLLECTOR, "collector")
PERSON_LIFE = timedelta(days=365)
_REMEDY = "Name the folder that tonnage pki init made, readable by the collector's user."


@dataclass(frozen=True, slots=True)
class PkiFolder:
    """The authority's files below ``path``."""

    path: Path

    @property
    def authorities(self) -> Path:
        """Whom every part trusts: the authority in use first."""
        return self.path / "ca.pem"

    @property
    def tls_files(self) -> TlsFiles:
        """What the collector serves and dials with."""
        return TlsFiles(self.path / "collector.pem", self.path / "collector.key", self.authorities)

    @property
    def scrape_token(self) -> Path:
        """The bearer tokens that scrapers show, one a line."""
        return self.path / "scrape.token"

    @property
    def ledger(self) -> Ledger:
        """What was signed by hand."""
        return Ledger(self.path / "issued.jsonl")

    def create(self, name: str, operator: str) -> Sequence[Path]:
        """Make authority, the collector's certificate and an operator's; the files made.

        Raises ``ConfigError`` when there is an authority already.
        """
        self._nothing_there()
        make_folder(self.path)
        authority = make_authority(name, utc_now())
        write_key(self.path / "ca.key", authority.key)
        write_text(self.authorities, pem(authority.certificate))
        made = [self.path / "ca.key", self.authorities]
        made += self.issue(COLLECTOR, self.path, PERSON_LIFE)
        person = Identity(Role.OPERATOR, operator)
        return [*made, *self.issue(person, self.path, PERSON_LIFE, OPERATOR)]

    def issue(
        self, identity: Identity, out: Path, life: timedelta, stem: str = ""
    ) -> Sequence[Path]:
        """A fresh key and its certificate as ``STEM.key`` and ``STEM.pem`` in ``out``; the
        files made. The ledger has it before they are there.

        Raises ``ConfigError`` when one of them exists.
        """
        stem = stem or identity.name
        key_path, certificate_path = out / f"{stem}.key", out / f"{stem}.pem"
        for path in (key_path, certificate_path):
            if os.path.lexists(path):
                raise _exists(path)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.authority().issue(identity, key.public_key(), life, utc_now())
        self.ledger.add(certificate)
        write_key(key_path, key)
        write_text(certificate_path, pem(certificate))
        return [key_path, certificate_path]

    def authority(self) -> Authority:
        """The authority. Raises ``ConfigError`` unless its files are there and fit."""
        key = _load_key(self.path / "ca.key")
        for certificate in _certificates(self.authorities):
            if certificate.public_key() == key.public_key():
                return Authority(certificate, key)
        raise ConfigError(
            "ca.pem holds no certificate of the key in ca.key",
            field="tls_dir",
            value=str(self.path),
            remedy="Restore both from one back-up.",
        )

    def read_authorities(self) -> str:
        """``ca.pem``. Raises ``ConfigError``."""
        return "".join(map(pem, _certificates(self.authorities)))

    def own_certificate(self) -> x509.Certificate:
        """The collector's own. Raises ``ConfigError``."""
        return _certificates(self.path / "collector.pem")[0]

    def renew_own(self, authority: Authority) -> x509.Certificate:
        """Sign anew for the collector's key. The key stays, so the pair always fits."""
        key = _load_key(self.path / "collector.key")
        fresh = authority.issue(COLLECTOR, key.public_key(), PERSON_LIFE, utc_now())
        write_text(self.path / "collector.pem", pem(fresh))
        return fresh

    def certificates(self) -> Sequence[Certificate]:
        """The certificates in the folder that say whose they are."""
        found = []
        for path in sorted(self.path.glob("*.pem")):
            with suppress(ConfigError, UnknownPeer):
                found.append(described(_certificates(path)[0]))
        return found

    def _nothing_there(self) -> None:
        for name in ("ca.key", "ca.pem", "collector.key", "operator.key"):
            if os.path.lexists(self.path / name):
                raise ConfigError(
                    "is there already, and every certificate hangs on it: nothing was changed",
                    field="--dir",
                    value=str(self.path / name),
                    remedy="Name another --dir, or move these files away yourself.",
                )


def make_folder(path: Path) -> None:
    """Make a folder that others may enter but not list. Raises ``ConfigError``."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o711)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a key that its owner alone may read."""
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    write_text(path, text, mode=0o600)


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file that appears whole, in the place of one before. Raises ``ConfigError``."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "w", encoding="ascii") as stream:  # noqa: PTH123 - a descriptor
            os.fchmod(descriptor, mode)
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise _unwritable(path, error) from error


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, TypeError) as error:
        raise ConfigError("is no key in PEM", field="tls_dir", value=str(path)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError("is no EC key", field="tls_dir", value=str(path), remedy=_REMEDY)
    return key


def _certificates(path: Path) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise ConfigError("is no certificate in PEM", field="tls_dir", value=str(path)) from error


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot be read: {error.strerror}", field="tls_dir", value=str(path), remedy=_REMEDY
    )


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot be written: {error.strerror}",
        field="--dir",
        value=str(path),
        remedy="Name a folder that you may write, or become root.",
    )


def _exists(path: Path) -> ConfigError:
    return ConfigError(
        "is there already: nothing was changed",
        field="--out",
        value=str(path),
        remedy="Name another folder, or move the file away.",
    )
