"""Which of the certificates that the collector knows end soon. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from collector.model import Certificate
from collector.pki.describe import AUTHORITY
from tonnage.identity import Role
from tonnage.lifetime import Lifetime

# What was revoked by its serial alone has none.
_ROLES = frozenset({AUTHORITY, *Role})


def ending(certificates: Iterable[Certificate], now: datetime) -> Sequence[Certificate]:
    """Those in the last sixth of their life that were neither revoked nor replaced."""
    return [
        each
        for each in latest(certificates)
        if lived(each).is_ending(now) and lived(each).ends > now
    ]


def latest(certificates: Iterable[Certificate]) -> Sequence[Certificate]:
    """Of each role and name the one that lasts longest and was not revoked."""
    found: dict[tuple[str, str], Certificate] = {}
    for each in certificates:
        other = found.get((each.role, each.name))
        if each.revoked_at_unix_ns is None and (
            other is None or each.not_after_unix_ns > other.not_after_unix_ns
        ):
            found[each.role, each.name] = each
    return [each for each in found.values() if each.role in _ROLES]


def lived(certificate: Certificate) -> Lifetime:
    """A kept certificate's life."""
    return Lifetime(
        datetime.fromtimestamp(certificate.not_before_unix_ns / 1e9, UTC),
        datetime.fromtimestamp(certificate.not_after_unix_ns / 1e9, UTC),
    )
