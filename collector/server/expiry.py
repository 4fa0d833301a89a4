"""Tells of certificates that end soon and that nobody has renewed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import structlog

from collector.errors import TonnageError
from collector.model import Certificate
from collector.pki.expiry import ending, latest, lived
from collector.pki.folder import PkiFolder
from collector.stores.base import IdentityStore
from tonnage.identity import Role
from tonnage.lifetime import Lifetime, lifetime, utc_now

_LOOK_EVERY_SECONDS = 300.0
_AGAIN_SECONDS = 86_400.0
_REMEDIES = {
    Role.AGENT: "See why its agent does not renew it; once it ended, the host joins again.",
    Role.COLLECTOR: "It renews itself; see what was logged of that.",
    Role.OPERATOR: "They renew it with tonnage pki renew.",
    Role.VIEWER: "They renew it with tonnage pki renew.",
}
_AUTHORITY = "Plan a new one: see Rotate in docs/operations.md."

_log = structlog.get_logger(__name__)


class Expiry:
    """Looks at what is in the store and at the folder's own certificates.

    ``hosts`` says by host when its latest certificate ends, in Unix seconds: as seen at the
    latest look, or issued since.
    """

    def __init__(self, folder: PkiFolder, store: IdentityStore) -> None:
        self._folder = folder
        self._store = store
        self._told: dict[str, datetime] = {}
        self.hosts: Mapping[str, float] = {}

    def timestamps(self) -> Mapping[str, float]:
        """When the collector's own certificate and the authority's end, Unix seconds; nothing
        of what cannot be read. Any thread."""
        try:
            own, authority = self._folder.own_certificate(), self._folder.authority()
        except TonnageError:
            return {}
        return {
            "authority": authority.certificate.not_valid_after_utc.timestamp(),
            "collector": own.not_valid_after_utc.timestamp(),
        }

    def issued(self, certificate: Certificate) -> None:
        """One was issued just now."""
        self.hosts = {**self.hosts, **dict(_ends([certificate]))}

    async def keep(self) -> None:
        """Log what ends soon, each certificate once a day, for ever."""
        while True:
            try:
                await self.tell(utc_now())
            except TonnageError as error:
                _log.warning("cannot see which certificates end soon", why=str(error))
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def tell(self, now: datetime) -> None:
        """Log what ends soon and was not told today. Raises ``TonnageError``."""
        authority = lifetime(self._folder.authority().certificate)
        if authority.is_ending(now):
            self._warn("authority", "the authority", authority, _AUTHORITY, now)
        known = await self._store.certificates()
        self.hosts = dict(_ends(latest(known)))
        for each in ending(known, now):
            who = f"{each.role} {each.name}"
            self._warn(each.serial, who, lived(each), _REMEDIES[Role(each.role)], now)

    def _warn(self, key: str, of: str, life: Lifetime, remedy: str, now: datetime) -> None:
        told = self._told.get(key)
        if told is None or (now - told).total_seconds() >= _AGAIN_SECONDS:
            self._told[key] = now
            _log.warning("a certificate ends soon", of=of, when=life.words(now), remedy=remedy)


def _ends(certificates: Sequence[Certificate]) -> Iterator[tuple[str, float]]:
    """Hosts of agents' certificates, and when those end."""
    for each in certificates:
        if each.role == Role.AGENT:
            yield each.name, each.not_after_unix_ns / 1e9
