"""Who gets in, wired: authority, revocations, audit log, scrape tokens, in one place."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

from grpc import aio

from collector.errors import ConfigError
from collector.pki.folder import PkiFolder
from collector.server.access import Gate, Revocations
from collector.server.audit import AuditLog, AuditTrail
from collector.server.door import Door
from collector.server.enrolment import Addresses, Enrolment
from collector.server.expiry import Expiry
from collector.server.issued import SignedByHand
from collector.server.renewal import keep_renewed, renew_if_due
from collector.server.revoking import Revoking
from collector.server.scraping import ScrapeTokens
from collector.stores.base import Store
from tonnage.address import Address, Place, UnixSocket
from tonnage.lifetime import utc_now
from tonnage.tls import TlsError, TlsFiles, https_context


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says of it. Without ``folder`` there is no TLS."""

    folder: PkiFolder | None
    life: timedelta
    advertise: str


class Security:
    """Enter it to serve: it keeps the audit log stored and the own certificate fresh."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        revocations: Revocations,
        registered: Sequence[str],
        is_live: Callable[[str], bool],
    ) -> None:
        """``open`` makes one."""
        self._store = store
        self._settings = settings
        self._revocations = revocations
        self._tokens = ScrapeTokens(settings.folder.scrape_token) if settings.folder else None
        self._stack = AsyncExitStack()
        self._by_hand = _by_hand(settings.folder, store) if settings.folder else None
        self.expiry = Expiry(settings.folder, store) if settings.folder else None
        self.audit = AuditLog(store)
        self.revoking = Revoking(store, settings.folder, revocations)
        self.enrolment = Enrolment(store, settings.folder, self.revoking, is_live, settings.life)
        if self.expiry is not None:
            self.enrolment.tell_issued = self.expiry.issued
        self.door = Door(self.enrolment, self.audit, self._tokens)
        self.interceptors: Sequence[aio.ServerInterceptor] = (
            AuditTrail(self.audit, registered),
            Gate(revocations),
        )

    @classmethod
    async def open(cls, store: Store, settings: Settings, is_live: Callable[[str], bool]) -> Self:
        """Read what the store and the folder know. Raises ``TonnageError``."""
        if settings.folder is not None:
            await _by_hand(settings.folder, store).take_in()
            await renew_if_due(settings.folder, store, utc_now())
            _check(settings.folder.tls_files)
            settings.folder.authority()
            for certificate in settings.folder.certificates():
                await store.add_certificate(certificate)
        revoked = await store.revoked_serials(time.time_ns())
        registered = [host.facts.host for host in await store.known_hosts()]
        return cls(store, settings, Revocations(revoked), registered, is_live)

    @property
    def tls(self) -> TlsFiles | None:
        """What the collector serves and dials with; ``None`` without TLS."""
        return self._settings.folder.tls_files if self._settings.folder else None

    def https(self) -> ssl.SSLContext | None:
        """TLS of the HTTP pages. Raises ``ConfigError``."""
        if self.tls is None:
            return None
        try:
            return https_context(self.tls)
        except TlsError as error:
            raise _unusable(error) from error

    def listens_at(self, grpc: Place, http: Address) -> None:
        """Say where hosts that join are sent."""
        told = self._settings.advertise
        self.enrolment.addresses = Addresses(
            grpc=_reached(told, grpc, ""), http=_reached(told, http, socket.gethostname())
        )

    async def catch_up(self) -> None:
        """Take in what was signed by hand until now. Raises ``StoreError``."""
        if self._by_hand is not None:
            await self._by_hand.take_in()

    def revoked_serials(self) -> Sequence[str]:
        """What agents refuse too."""
        return self._revocations.serials

    def scrape_token_hashes(self) -> Sequence[str]:
        """Who may scrape agents."""
        return self._tokens.hashes() if self._tokens else ()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.audit)
        for work in self._standing_work():
            self._stack.callback(asyncio.create_task(work).cancel)
        return self

    def _standing_work(self) -> Iterator[Coroutine[None, None, None]]:
        if self._settings.folder is not None:
            yield keep_renewed(self._settings.folder, self._store)
        for kept in (self._by_hand, self.expiry):
            if kept is not None:
                yield kept.keep()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


def _by_hand(folder: PkiFolder, store: Store) -> SignedByHand:
    return SignedByHand(folder.ledger, store, store)


def _reached(advertised: str, at: Place, any_host: str) -> str:
    """Where others dial ``at``. Without a host, agents take the one they joined through."""
    if isinstance(at, UnixSocket) or not (advertised or at.wildcard):
        return str(at)
    host = advertised or any_host
    return f"[{host}]:{at.port}" if ":" in host else f"{host}:{at.port}"


def _check(files: TlsFiles) -> None:
    try:
        files.read()
    except TlsError as error:
        raise _unusable(error) from error


def _unusable(error: TlsError) -> ConfigError:
    told = error.problem
    remedy = told.remedy or "Issue another with tonnage pki issue, or restore the folder."
    return ConfigError(told.message, field="tls_dir", value=told.value, remedy=remedy)
