"""A certificate as the collector keeps it: serial, role, name, from when to when."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from collector.model import Certificate
from tonnage.tls import certificate_identity

# Certificates are renewed when this much of their life is over.
RENEWED_AFTER = 2 / 3


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


def renewal_due(certificate: x509.Certificate) -> datetime:
    """When ``certificate`` is to be replaced."""
    begun, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begun + timedelta(seconds=(ends - begun).total_seconds() * RENEWED_AFTER)


def pem(certificate: x509.Certificate) -> str:
    """The certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _unix_ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9
