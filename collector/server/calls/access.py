"""Who gets in: certificates renewed and revoked, tokens, and the audit log."""

from __future__ import annotations

from collector.model import AuditFilter, Certificate, Token
from collector.server.access import caller
from collector.server.calls.parts import Calls, Context
from tonnage import wire
from tonnage.v1 import collector_pb2 as pb

_ENTRIES_SHOWN = 100
_ENTRIES_MOST = 10_000


class AccessCalls(Calls):
    """Tokens, certificates, the audit log."""

    async def RenewCertificate(
        self, request: pb.RenewCertificateRequest, context: Context
    ) -> pb.RenewCertificateResponse:
        """See the contract."""
        issued = await self.parts.enrolment.renew(caller(context), request.signing_request)
        return pb.RenewCertificateResponse(
            certificate=issued.certificate, authorities=issued.authorities
        )

    async def CreateToken(
        self, request: pb.CreateTokenRequest, context: Context
    ) -> pb.CreateTokenResponse:
        """See the contract."""
        made = await self.parts.enrolment.create_token(
            request.ttl_seconds, request.uses, request.host, caller(context)
        )
        return pb.CreateTokenResponse(
            token=made.text,
            command=made.command,
            token_id=made.token.token_id,
            expires_at_unix_ns=made.token.expires_at_unix_ns,
        )

    async def ListTokens(
        self, request: pb.ListTokensRequest, context: Context
    ) -> pb.ListTokensResponse:
        """See the contract."""
        return pb.ListTokensResponse(tokens=map(_token, await self.parts.store.tokens()))

    async def RevokeToken(
        self, request: pb.RevokeTokenRequest, context: Context
    ) -> pb.RevokeTokenResponse:
        """See the contract."""
        await self.parts.enrolment.revoke_token(request.token_id)
        return pb.RevokeTokenResponse()

    async def ListCertificates(
        self, request: pb.ListCertificatesRequest, context: Context
    ) -> pb.ListCertificatesResponse:
        """See the contract."""
        await self.parts.access.catch_up()
        found = await self.parts.enrolment.certificates()
        return pb.ListCertificatesResponse(certificates=map(_certificate, found))

    async def RevokeCertificate(
        self, request: pb.RevokeCertificateRequest, context: Context
    ) -> pb.RevokeCertificateResponse:
        """See the contract."""
        await self.parts.access.catch_up()
        revoked = await self.parts.revoking.revoke(request.serial, request.host, request.person)
        await self.parts.fleet.bar(await self.parts.revoking.shut_out())
        return pb.RevokeCertificateResponse(serials=revoked)

    async def ListAudit(
        self, request: pb.ListAuditRequest, context: Context
    ) -> pb.ListAuditResponse:
        """See the contract."""
        limit = min(request.limit or _ENTRIES_SHOWN, _ENTRIES_MOST)
        await self.parts.access.catch_up()
        await self.parts.audit.flush()
        only = AuditFilter(request.name, request.command, request.subject, request.failed)
        entries = await self.parts.store.audit(limit, only)
        return pb.ListAuditResponse(
            entries=[wire.filled(pb.AuditEntry(), each) for each in entries]
        )


def _token(token: Token) -> pb.TokenInfo:
    return pb.TokenInfo(
        token_id=token.token_id,
        expires_at_unix_ns=token.expires_at_unix_ns,
        uses_left=token.uses_left,
        host=token.host,
        created_by=token.created_by,
        created_at_unix_ns=token.created_at_unix_ns,
        revoked=token.revoked,
    )


def _certificate(certificate: Certificate) -> pb.CertificateInfo:
    return wire.filled(pb.CertificateInfo(), certificate)
