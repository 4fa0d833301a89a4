"""Which hosts may join under a name that certificates were given out for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from collector.errors import Forbidden
from collector.model import Certificate, Token
from collector.pki.authority import Authority
from collector.stores.base import IdentityStore
from tonnage.identity import Role

_SECOND_NS = 10**9


class Names:
    """The names that hosts hold. ``is_live`` says whether a host of that name is up now."""

    def __init__(self, store: IdentityStore, is_live: Callable[[str], bool]) -> None:
        self._store = store
        self._is_live = is_live

    async def check(self, token: Token, host: str, authority: Authority) -> None:
        """Raise ``Forbidden`` where a certificate that is good holds the name: of a live host,
        unless the token names it, or of one whose name differs by case alone, as DNS names,
        which hosts are verified by, do not tell the two apart."""
        holders = await self._holders(host, authority)
        for found in holders:
            if found.name != host:
                raise Forbidden(
                    f"differs by case alone from the host {found.name}",
                    field="host",
                    value=host,
                    remedy=f"Join as {found.name} or under another --name; if that host is gone, "
                    f"tonnage pki revoke --host {found.name} first.",
                )
        if holders and token.host != host and self._is_live(host):
            raise Forbidden(
                "a live host holds this name",
                field="host",
                value=host,
                remedy="Join under another --name; if it is the same host made anew, "
                f"use a token of tonnage token create --host {host}.",
            )

    async def _holders(self, host: str, authority: Authority) -> Sequence[Certificate]:
        """The certificates of this authority that are good and name the host, in any case."""
        now = time.time_ns()
        begun_ns = authority.certificate.not_valid_before_utc.timestamp() * _SECOND_NS
        return [
            found
            for found in await self._store.certificates()
            if found.role == Role.AGENT
            and found.name.lower() == host.lower()
            and found.revoked_at_unix_ns is None
            and found.not_after_unix_ns > now
            and found.not_before_unix_ns >= begun_ns
        ]
