"""How long a certificate lasts: when it is renewed, and when its end is worth a word.

Both are shares of its life, so that what lives for an hour is treated as what lives for
ten years: renewed when two thirds are over, and told of in the last sixth, which it only
reaches where renewing fails or is a person's to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from tonnage.tls import TlsError

_RENEWED_AFTER = 2 / 3
_TOLD_AFTER = 5 / 6


@dataclass(frozen=True, slots=True)
class Lifetime:
    """From when to when, UTC."""

    begins: datetime
    ends: datetime

    @property
    def due(self) -> datetime:
        """When it is to be replaced."""
        return self._after(_RENEWED_AFTER)

    def is_ending(self, now: datetime) -> bool:
        """Whether its last sixth has begun."""
        return now >= self._after(_TOLD_AFTER)

    def words(self, now: datetime) -> str:
        """What a person is told: that it ended, or how soon it will."""
        if now >= self.ends:
            return f"ended at {self.ends:%Y-%m-%d %H:%MZ}"
        return f"ends at {self.ends:%Y-%m-%d %H:%MZ}, in {_span((self.ends - now).total_seconds())}"

    def _after(self, share: float) -> datetime:
        return self.begins + (self.ends - self.begins) * share


def lifetime(certificate: x509.Certificate) -> Lifetime:
    """A certificate's."""
    return Lifetime(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def lifetime_of(path: Path) -> Lifetime:
    """That of the first certificate in a PEM file. Raises ``TlsError``."""
    try:
        return lifetime(x509.load_pem_x509_certificate(path.read_bytes()))
    except OSError as error:
        raise TlsError(f"cannot be read: {error.strerror}", path) from error
    except ValueError as error:
        raise TlsError("is no certificate in PEM", path) from error


def utc_now() -> datetime:
    """The time that certificates are made and judged by."""
    return datetime.now(UTC)


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
