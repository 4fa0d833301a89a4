"""What a token with which hosts join looks like, and what may be asked of one. Pure.

``tonnage1.ID.SECRET.FINGERPRINT``: the last is of the authority's certificate, so that who
joins knows the collector; of the secret only the SHA-256 is ever kept.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from collector.errors import InvalidInput
from tonnage.identity import NAME_PATTERN

_PREFIX = "tonnage1"
_TOKEN = re.compile(r"tonnage1\.([0-9a-f]{12})\.([0-9a-f]{40})\.([0-9a-f]{64})")
_ID_BYTES = 6
_SECRET_BYTES = 20
_TTL_LEAST_SECONDS = 1.0
_TTL_MOST_SECONDS = 30 * 86400.0
_USES_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Secret:
    """A token's id and its secret."""

    token_id: str
    secret: str = field(repr=False)

    @property
    def sha256(self) -> str:
        """What is kept of it."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def text(self, fingerprint: str) -> str:
        """The token, for an authority of this fingerprint."""
        return f"{_PREFIX}.{self.token_id}.{self.secret}.{fingerprint}"


def fresh_secret() -> Secret:
    """One that nobody can guess."""
    return Secret(secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES))


def parsed(text: str, fingerprint: str) -> Secret | None:
    """The secret of a token's text; ``None`` where it is none of this authority."""
    found = _TOKEN.fullmatch(text)
    if found is None or found[3] != fingerprint:
        return None
    return Secret(found[1], found[2])


def check_terms(ttl_seconds: float, uses: int, host: str) -> None:
    """Raise ``InvalidInput`` for what no token may have."""
    if not _TTL_LEAST_SECONDS <= ttl_seconds <= _TTL_MOST_SECONDS:
        raise InvalidInput(
            f"a token lasts from 1 s to {_TTL_MOST_SECONDS / 86400:.0f} days",
            field="ttl",
            value=f"{ttl_seconds:g} s",
        )
    if not 1 <= uses <= _USES_MOST:
        raise InvalidInput(
            f"a token has from 1 to {_USES_MOST} uses", field="uses", value=str(uses)
        )
    if host:
        check_name(host)


def check_name(host: str) -> None:
    """Raise ``InvalidInput`` for what cannot be a host's name."""
    if re.fullmatch(NAME_PATTERN, host):
        return
    raise InvalidInput(
        "a host's name has letters, digits, dots, dashes and underscores, at most 63",
        field="host",
        value=host[:80],
        remedy="Name it with --name.",
    )
