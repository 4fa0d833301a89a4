"""Certificates of every kind, good and bad, for one authority in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from collector.pki.authority import Authority, make_authority
from collector.pki.describe import pem
from collector.pki.folder import PkiFolder, write_key, write_text
from tonnage.identity import Identity, Role
from tonnage.lifetime import utc_now
from tonnage.tls import TlsFiles

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Keyring:
    """``folder`` is the collector's; ``pairs`` are callers' files by what is right or wrong."""

    folder: PkiFolder
    pairs: Mapping[str, TlsFiles]

    def serial(self, kind: str) -> str:
        certificate = x509.load_pem_x509_certificate(self.pairs[kind].certificate.read_bytes())
        return f"{certificate.serial_number:x}"


def make_keyring(path: Path, host: str = "h1") -> Keyring:
    """A pair for each role, named so, and ``expired``, ``wrong-authority``, ``revoked``
    and ``nameless``, all of these an operator's."""
    folder = PkiFolder(path / "pki")
    folder.create("test authority", "olga")
    good, other = folder.authority(), make_authority("another authority", utc_now())
    names = {Role.AGENT: host, Role.OPERATOR: "olga", Role.VIEWER: "vic", Role.COLLECTOR: "eve"}
    pairs = {str(role): pair(path, folder, good, Identity(role, n)) for role, n in names.items()}
    olga = Identity(Role.OPERATOR, "olga")
    pairs["expired"] = pair(path, folder, good, olga, "expired", age=2 * DAY)
    pairs["wrong-authority"] = pair(path, folder, other, olga, "wrong-authority")
    pairs["revoked"] = pair(path, folder, good, olga, "revoked")
    pairs["nameless"] = _nameless(path, folder)
    return Keyring(folder, pairs)


def pair(
    path: Path,
    folder: PkiFolder,
    authority: Authority,
    who: Identity,
    stem: str = "",
    age: timedelta = timedelta(),
) -> TlsFiles:
    """A key and its certificate of one day, issued ``age`` ago, in a folder of their own."""
    own = path / (stem or f"{who.role}-{who.name}")
    own.mkdir()
    files = TlsFiles(own / "me.pem", own / "me.key", own / "ca.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    write_key(files.key, key)
    write_text(files.certificate, pem(authority.issue(who, key.public_key(), DAY, utc_now() - age)))
    write_text(files.authorities, folder.read_authorities())
    return files


def _nameless(path: Path, folder: PkiFolder) -> TlsFiles:
    """A pair that the authority signed, but that says nobody's name."""
    own = path / "nameless"
    own.mkdir()
    files = TlsFiles(own / "me.pem", own / "me.key", own / "ca.pem")
    key, authority = ec.generate_private_key(ec.SECP256R1()), folder.authority()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "operator")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc_now() - DAY)
        .not_valid_after(utc_now() + DAY)
    )
    write_key(files.key, key)
    write_text(files.certificate, pem(builder.sign(authority.key, hashes.SHA256())))
    write_text(files.authorities, folder.read_authorities())
    return files
