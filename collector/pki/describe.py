"""A certificate as the collector keeps it: serial, role, name, from when to when."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from collector.model import Certificate
from collector.pki.authority import Authority
from tonnage.tls import certificate_identity

AUTHORITY = "authority"
"""What stands for a role in the row of an authority."""


def described(certificate: x509.Certificate) -> Certificate:
    """What is kept of ``certificate``. Raises ``tonnage.tls.UnknownPeer`` where it is none
    of Tonnage's."""
    identity = certificate_identity(pem(certificate).encode())
    return Certificate(
        serial=identity.serial,
        role=str(identity.role),
        name=identity.name,
        not_before_unix_ns=_unix_ns(certificate.not_valid_before_utc),
        not_after_unix_ns=_unix_ns(certificate.not_valid_after_utc),
    )


def authority_row(authority: Authority) -> Certificate:
    """Likewise what is kept of an authority, by what it calls itself."""
    certificate = authority.certificate
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Certificate(
        serial=f"{certificate.serial_number:x}",
        role=AUTHORITY,
        name=str(names[0].value) if names else "",
        not_before_unix_ns=_unix_ns(certificate.not_valid_before_utc),
        not_after_unix_ns=_unix_ns(certificate.not_valid_after_utc),
    )


def pem(certificate: x509.Certificate) -> str:
    """The certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _unix_ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9
