"""What an agent is to others, and what the collector told it of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.identity.folder import IdentityFolder
from agent.identity.remembered import Remembered
from tonnage.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class Standing:
    """``folder`` is ``None`` where the agent has no identity and so no TLS.

    ``revoked`` holds serials of certificates, ``scrapers`` the SHA-256 of the tokens that
    may read its metrics.
    """

    folder: IdentityFolder | None
    revoked: Remembered
    scrapers: Remembered

    @classmethod
    def of(cls, tls_dir: Path | None) -> Standing:
        """What is on disk; nothing where there is no folder."""
        if tls_dir is None:
            return cls(None, Remembered(None), Remembered(None))
        kept = (Remembered(tls_dir / name) for name in ("revoked", "scrapers"))
        return cls(IdentityFolder(tls_dir), *kept)

    @property
    def files(self) -> TlsFiles | None:
        """What servers and clients of the agent show and trust."""
        return self.folder.files if self.folder else None
