"""What an agent is to others, and what the collector told it of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ConfigError
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

    def ends(self) -> Mapping[str, float]:
        """When the certificate and the authority end, Unix seconds; nothing of what cannot be
        read. Any thread."""
        if self.folder is None:
            return {}
        try:
            lives = {"agent": self.folder.life(), "authority": self.folder.authority_life()}
        except ConfigError:
            return {}
        return {name: life.ends.timestamp() for name, life in lives.items()}

    @property
    def files(self) -> TlsFiles | None:
        """What servers and clients of the agent show and trust."""
        return self.folder.files if self.folder else None
