"""Tokens, certificates, the audit log."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from collector.client.connection import Connection
from collector.model import AuditEntry, AuditFilter, Certificate
from tonnage.v1 import collector_pb2 as pb

_EVERYTHING = AuditFilter()


@dataclass(frozen=True, slots=True)
class TokenMade:
    """A token as it is told, once, and what to type with it."""

    token: str
    command: str
    token_id: str
    expires_at_unix_ns: int


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token without its secret. Mirrors the message of this name."""

    token_id: str
    expires_at_unix_ns: int
    uses_left: int
    host: str
    created_by: str
    created_at_unix_ns: int
    revoked: bool


class Access(Connection):
    """What is asked about who gets in."""

    async def create_token(self, ttl_seconds: float, uses: int, host: str = "") -> TokenMade:
        """Make a token with which hosts join."""
        request = pb.CreateTokenRequest(ttl_seconds=ttl_seconds, uses=uses, host=host)
        made = await self.call(self.stub.CreateToken, request)
        return TokenMade(made.token, made.command, made.token_id, made.expires_at_unix_ns)

    async def tokens(self) -> tuple[TokenInfo, ...]:
        """The tokens, newest first."""
        answer = await self.call(self.stub.ListTokens, pb.ListTokensRequest())
        return self.many(answer.tokens, TokenInfo)

    async def revoke_token(self, token_id: str) -> None:
        """End a token."""
        await self.call(self.stub.RevokeToken, pb.RevokeTokenRequest(token_id=token_id))

    async def certificates(self) -> tuple[Certificate, ...]:
        """The certificates that the collector knows, newest first."""
        answer = await self.call(self.stub.ListCertificates, pb.ListCertificatesRequest())
        return self.many(answer.certificates, Certificate)

    async def renew_certificate(self, signing_request: str) -> tuple[str, str]:
        """A fresh certificate like the one shown, and the authorities to trust, both PEM."""
        request = pb.RenewCertificateRequest(signing_request=signing_request)
        issued = await self.call(self.stub.RenewCertificate, request)
        return issued.certificate, issued.authorities

    async def revoke_certificate(
        self, serial: str = "", host: str = "", person: str = ""
    ) -> tuple[str, ...]:
        """Revoke one certificate, or all of a host or a person; the serials that were not
        before."""
        request = pb.RevokeCertificateRequest(serial=serial, host=host, person=person)
        return tuple((await self.call(self.stub.RevokeCertificate, request)).serials)

    async def audit(
        self, limit: int = 100, only: AuditFilter = _EVERYTHING
    ) -> tuple[AuditEntry, ...]:
        """The audit log, newest first."""
        request = pb.ListAuditRequest(limit=limit, **asdict(only))
        answer = await self.call(self.stub.ListAudit, request)
        return self.many(answer.entries, AuditEntry)
