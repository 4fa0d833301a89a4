"""Taking certificates back: one by its serial, or all of a host or a person."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

import structlog

from collector.errors import InvalidInput, TonnageError, WrongState
from collector.model import Certificate
from collector.pki.folder import PkiFolder
from collector.server.access import Revocations
from collector.stores.base import IdentityStore
from tonnage.identity import Role

# A certificate of which only the serial is known stays refused for an authority's life.
_UNKNOWN_LIFE_NS = 3650 * 86_400 * 10**9
_LOOK_EVERY_SECONDS = 5.0
_PEOPLE = (Role.OPERATOR, Role.VIEWER)
_SERIAL = re.compile(r"[0-9a-f]{1,40}")

_log = structlog.get_logger(__name__)

# Told of the hosts that are shut out.
Bar = Callable[[Collection[str]], Awaitable[None]]


class Revoking:
    """Revokes, in the store and at once in ``revocations``. Without a folder the collector
    has no certificate of its own that must be spared."""

    def __init__(
        self, store: IdentityStore, folder: PkiFolder | None, revocations: Revocations
    ) -> None:
        self._store = store
        self._folder = folder
        self._revocations = revocations

    async def revoke(self, serial: str = "", host: str = "", person: str = "") -> Sequence[str]:
        """Revoke one certificate, or all of a host or of an operator or viewer; the serials
        that were not before. A serial need not be known.
        """
        if sum(map(bool, (serial, host, person))) != 1:
            raise InvalidInput("needs a serial, a host or a person, one of them", field="serial")
        if serial:
            revoked = await self._revoke_one(normal_serial(serial))
        else:
            roles = (Role.AGENT,) if host else _PEOPLE
            now = time.time_ns()
            revoked = [
                each
                for role in roles
                for each in await self._store.revoke_certificates(
                    now, role=role, name=host or person
                )
            ]
        self._revocations.add(revoked)
        return revoked

    async def keep_up(self, bar: Bar) -> None:
        """Refuse too, for ever, what another collector on the same store revokes."""
        trouble = ""
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            try:
                await self._catch_up(bar)
                trouble = ""
            except TonnageError as error:
                if str(error) != trouble:
                    _log.warning("cannot look for what was revoked elsewhere", why=str(error))
                trouble = str(error)

    async def _catch_up(self, bar: Bar) -> None:
        found = await self._store.revoked_serials(time.time_ns())
        elsewhere = [serial for serial in found if serial not in self._revocations]
        if elsewhere:
            hosts = await self.shut_out()
            self._revocations.add(elsewhere)
            await bar(hosts)

    async def _revoke_one(self, serial: str) -> Sequence[str]:
        self._check_not_own(serial)
        now = time.time_ns()
        await self._store.add_certificate(Certificate(serial, "", "", now, now + _UNKNOWN_LIFE_NS))
        return await self._store.revoke_certificates(now, serial=serial)

    async def shut_out(self) -> Collection[str]:
        """The hosts of which a certificate was revoked and none holds."""
        return _shut_out(await self._store.certificates(), time.time_ns())

    def _check_not_own(self, serial: str) -> None:
        if self._folder is None:
            return
        own = self._folder.own_certificate(), self._folder.authority().certificate
        if serial in [f"{each.serial_number:x}" for each in own]:
            raise WrongState(
                "the collector itself serves with this certificate, or signs with it",
                field="serial",
                value=serial,
                remedy="If its key got out, see Rotate in docs/operations.md.",
            )


def normal_serial(text: str) -> str:
    """A serial as it is kept: hexadecimal, lower case, unpadded. Raises ``InvalidInput``."""
    serial = text.strip().lower().removeprefix("0x").replace(":", "").lstrip("0")
    if not _SERIAL.fullmatch(serial):
        raise InvalidInput(
            "is no serial number in hexadecimal",
            field="serial",
            value=text[:80],
            remedy="tonnage pki show lists them.",
        )
    return serial


def _shut_out(certificates: Iterable[Certificate], now_unix_ns: int) -> Collection[str]:
    revoked, good = set(), set()
    for each in certificates:
        if each.role != Role.AGENT:
            continue
        if each.revoked_at_unix_ns is not None:
            revoked.add(each.name)
        elif each.not_after_unix_ns > now_unix_ns:
            good.add(each.name)
    return revoked - good
