"""Tokens, joining, renewing, revoking: the authority at work, with the store's memory."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from collector.errors import Forbidden, InvalidInput, NoSuchToken, WrongState
from collector.model import Certificate, Token
from collector.pki.authority import Authority, PublicKey, read_request
from collector.pki.describe import authority_row, described, pem
from collector.pki.folder import PERSON_LIFE, PkiFolder
from collector.pki.tokens import check_name, check_terms, fresh_secret, parsed
from collector.server.access import Caller, Revocations
from collector.stores.base import IdentityStore
from tonnage.identity import Identity, Role
from tonnage.lifetime import utc_now
from tonnage.tls import certificate_identity

_SECOND_NS = 10**9
# A certificate of which only the serial is known stays refused for an authority's life.
_UNKNOWN_LIFE_NS = 3650 * 86_400 * _SECOND_NS
_PEOPLE = (Role.OPERATOR, Role.VIEWER)
_SERIAL = re.compile(r"[0-9a-f]{1,40}")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where joining agents find the collector: gRPC, and the HTTP listener."""

    grpc: str
    http: str


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token as it is told, this once."""

    text: str
    command: str
    token: Token


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and whom its holder is to trust, both PEM."""

    certificate: str
    authorities: str


class Enrolment:
    """Gives tokens and certificates out, and takes them back.

    ``is_live`` says whether a host of that name is up now. Where there is no folder the
    collector runs without TLS: then nothing is given out.
    """

    def __init__(
        self,
        store: IdentityStore,
        folder: PkiFolder | None,
        revocations: Revocations,
        is_live: Callable[[str], bool],
        life: timedelta,
    ) -> None:
        self._store = store
        self._folder = folder
        self._revocations = revocations
        self._is_live = is_live
        self._life = life
        self.addresses = Addresses("", "")

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
        command = f"tonnage-agent join --collector {self.addresses.http} --token {text}"
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
        await self._check_name(token, host, authority)
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
        if who.serial in self._revocations:  # while it was made: it must not outlive that
            await self.revoke(certificate_identity(issued.certificate.encode()).serial)
            raise Forbidden(
                f"the certificate of {who.role} {who.name} was revoked",
                field="certificate",
                value=who.serial,
            )
        return issued

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

    async def _revoke_one(self, serial: str) -> Sequence[str]:
        self._check_not_own(serial)
        now = time.time_ns()
        await self._store.add_certificate(Certificate(serial, "", "", now, now + _UNKNOWN_LIFE_NS))
        return await self._store.revoke_certificates(now, serial=serial)

    async def shut_out(self) -> Collection[str]:
        """The hosts of which a certificate was revoked and none holds."""
        return _shut_out(await self._store.certificates(), time.time_ns())

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

    async def _check_name(self, token: Token, host: str, authority: Authority) -> None:
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

    async def _issue(self, authority: Authority, who: Identity, key: PublicKey) -> Issued:
        life = self._life if who.role is Role.AGENT else PERSON_LIFE
        certificate = authority.issue(who, key, life, utc_now())
        await self._store.add_certificate(described(certificate))
        return Issued(pem(certificate), self.authorities())

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


def _useless() -> Forbidden:
    """One answer for every reason: it tells a guesser nothing."""
    return Forbidden(
        "this token does not let this host join",
        field="token",
        remedy="It may be mistyped, used up, expired, revoked or for another host: "
        "make a new one with tonnage token create.",
    )
