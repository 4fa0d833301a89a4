"""Takes what was signed by hand into the list of certificates and the audit log."""

from __future__ import annotations

import asyncio

import structlog

from collector.errors import TonnageError
from collector.model import AUDIT_OK
from collector.pki.ledger import Ledger, Signed, Stamp
from collector.server.access import LOCAL, Caller
from collector.server.audit import entry
from collector.stores.base import AuditStore, IdentityStore

_LOOK_EVERY_SECONDS = 5.0
_COMMAND = "IssueCertificate"

_log = structlog.get_logger(__name__)


class SignedByHand:
    """Keeps the collector in step with ``ledger``."""

    def __init__(self, ledger: Ledger, certificates: IdentityStore, audit: AuditStore) -> None:
        self._ledger = ledger
        self._certificates = certificates
        self._audit = audit
        self._taken: Stamp | None = None
        self._turn = asyncio.Lock()

    async def take_in(self) -> None:
        """Take in what is new. Raises ``StoreError``; then it is still new."""
        async with self._turn:
            stamp = self._ledger.stamp()
            if stamp == self._taken:
                return
            known = {each.serial for each in await self._certificates.certificates()}
            for signed in await asyncio.to_thread(self._ledger.read):
                if signed.certificate.serial not in known:
                    await self._take(signed)
            self._taken = stamp

    async def _take(self, signed: Signed) -> None:
        """The log first: what is known is not taken again."""
        who = Caller(LOCAL, signed.by, signed.host)
        subject = f"{signed.certificate.role}/{signed.certificate.name}"
        noted = entry(signed.at_unix_ns, who, _COMMAND, subject, AUDIT_OK)
        await self._audit.add_audit([noted])
        await self._certificates.add_certificate(signed.certificate)

    async def keep(self) -> None:
        """Take in what comes, for ever."""
        while True:
            try:
                await self.take_in()
            except TonnageError as error:
                _log.warning("cannot take in what was signed by hand", why=str(error))
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
