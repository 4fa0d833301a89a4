"""Tokens, joining, renewing: the authority at work, with the store's memory."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from collector.errors import Forbidden, InvalidInput, NoSuchToken, WrongState
from collector.model import Certificate, Token
from collector.pki.authority import Authority, PublicKey, read_request
from collector.pki.describe import authority_row, described, pem
from collector.pki.folder import PERSON_LIFE, PkiFolder
from collector.pki.tokens import check_name, check_terms, fresh_secret, parsed
from collector.server.access import Caller
from collector.server.names import Names
from collector.server.revoking import Revoking
from collector.stores.base import IdentityStore
from tonnage.identity import Identity, Role
from tonnage.lifetime import utc_now
from tonnage.tls import certificate_identity

_SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where joining agents find the collector: gRPC, and the HTTP listener."""

    grpc: str
    http: str


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token as it is told, this once. ``command`` reads ``text`` from standard input."""

    text: str
    command: str
    token: Token


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and whom its holder is to trust, both PEM."""

    certificate: str
    authorities: str


class Enrolment:
    """Gives tokens and certificates out.

    ``is_live`` says whether a host of that name is up now. Where there is no folder the
    collector runs without TLS: then nothing is given out.
    """

    def __init__(
        self,
        store: IdentityStore,
        folder: PkiFolder | None,
        revoking: Revoking,
        is_live: Callable[[str], bool],
        life: timedelta,
    ) -> None:
        self._store = store
        self._folder = folder
        self._revoking = revoking
        self._names = Names(store, is_live)
        self._life = life
        self.addresses = Addresses("", "")
        self.tell_issued: Callable[[Certificate], None] = lambda _: None

    async def create_token(self, ttl_seconds: float, uses: int, host: str, by: Caller) -> NewToken:
        """Make a token. Raises ``InvalidInput`` or ``WrongState``."""
        authority = self._authority()
        check_terms(ttl_seconds, uses, host)
        secret = fresh_secret()
        now = time.time_ns()
        token = Token(
            token_id=secret.token_id,
            secret_sha256=secret.sha256,
            expires_at_unix_ns=now + int(ttl_seconds * _SECOND_NS),
            uses_left=uses,
            host=host,
            created_by=f"{by.role}/{by.name}",
            created_at_unix_ns=now,
        )
        await self._store.add_token(token)
        text = secret.text(authority.fingerprint)
        command = f"tonnage-agent join --collector {self.addresses.http} --token -"
        return NewToken(text, command, token)

    async def revoke_token(self, token_id: str) -> None:
        """End a token. Raises ``NoSuchToken``."""
        if not await self._store.revoke_token(token_id):
            raise NoSuchToken(
                "there is no such token",
                field="token_id",
                value=token_id[:80],
                remedy="tonnage token list shows them.",
            )

    async def join(self, text: str, host: str, signing_request: str) -> Issued:
        """Exchange one use of a token for a host's certificate.

        Raises ``InvalidInput`` for what is malformed and ``Forbidden`` for a token that
        is of no use, whatever the reason, or a name that is another's.
        """
        authority = self._authority()
        check_name(host)
        key = read_request(signing_request)
        secret = parsed(text, authority.fingerprint)
        if secret is None:
            raise _useless()
        token = await self._usable(secret.sha256, host)
        await self._names.check(token, host, authority)
        if await self._store.use_token(secret.sha256, host, time.time_ns()) is None:
            raise _useless()
        return await self._issue(authority, Identity(Role.AGENT, host), key)

    async def renew(self, who: Caller, signing_request: str) -> Issued:
        """A fresh certificate of the caller's own role and name."""
        authority = self._authority()
        if not who.serial:
            raise InvalidInput(
                "there is no certificate to renew: this connection has none",
                remedy="Join first, or leave certificates away as the connection does.",
            )
        key = read_request(signing_request)
        issued = await self._issue(authority, Identity(Role(who.role), who.name), key)
        # While it was made, here or at another collector: it must not outlive that.
        if who.serial in await self._store.revoked_serials(time.time_ns()):
            await self._revoking.revoke(certificate_identity(issued.certificate.encode()).serial)
            raise Forbidden(
                f"the certificate of {who.role} {who.name} was revoked",
                field="certificate",
                value=who.serial,
            )
        return issued

    async def certificates(self) -> Sequence[Certificate]:
        """What is known, newest first, and last the authority, if there is one."""
        known = await self._store.certificates()
        return known if self._folder is None else [*known, authority_row(self._authority())]

    def authorities(self) -> str:
        """Whom every part trusts, PEM. Raises ``WrongState`` or ``ConfigError``."""
        return self._need_folder().read_authorities()

    async def _usable(self, digest: str, host: str) -> Token:
        """The token whose secret has this digest, looked at and not used."""
        now = time.time_ns()
        for token in await self._store.tokens():
            if (
                hmac.compare_digest(token.secret_sha256, digest)
                and not token.revoked
                and token.uses_left > 0
                and token.expires_at_unix_ns > now
                and token.host in ("", host)
            ):
                return token
        raise _useless()

    async def _issue(self, authority: Authority, who: Identity, key: PublicKey) -> Issued:
        life = self._life if who.role is Role.AGENT else PERSON_LIFE
        certificate = authority.issue(who, key, life, utc_now())
        row = described(certificate)
        await self._store.add_certificate(row)
        self.tell_issued(row)
        return Issued(pem(certificate), self.authorities())

    def _need_folder(self) -> PkiFolder:
        if self._folder is None:
            raise WrongState(
                "this collector runs without certificates",
                field="tls_dir",
                remedy="Make them with tonnage pki init, and start it with --tls-dir.",
            )
        return self._folder

    def _authority(self) -> Authority:
        return self._need_folder().authority()


def _useless() -> Forbidden:
    """One answer for every reason: it tells a guesser nothing."""
    return Forbidden(
        "this token does not let this host join",
        field="token",
        remedy="It may be mistyped, used up, expired, revoked or for another host: "
        "make a new one with tonnage token create.",
    )
