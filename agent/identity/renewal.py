"""Renews the agent's certificate long before it ends, and tells where that fails."""

from __future__ import annotations

import asyncio

import grpc
import structlog

from agent.errors import TonnageError
from agent.identity.folder import AGAIN, IdentityFolder, Issued
from tonnage.dial import Dial
from tonnage.lifetime import utc_now
from tonnage.tls import TlsError, make_key_and_request
from tonnage.v1 import collector_pb2, collector_pb2_grpc

CALL_SECONDS = 10.0
# The wall clock may step: it is looked at this often rather than slept by.
_LOOK_SECONDS = 60.0
_FAILED_SECONDS = 15.0
_DONE_SECONDS = 1.0
_TELL_SECONDS = 3600.0

_log = structlog.get_logger("agent.identity")


async def keep_renewed(folder: IdentityFolder, name: str, dial: Dial) -> None:
    """Renew at two thirds of each certificate's life, for ever.

    What fails is tried again, and logged when it is another reason than before.
    """
    trouble = ""
    while True:
        try:
            pause = await _renewed_if_due(folder, name, dial)
            trouble = ""
        except (TonnageError, TlsError, grpc.aio.AioRpcError) as error:
            pause = _FAILED_SECONDS
            reason = str(error.details() if isinstance(error, grpc.aio.AioRpcError) else error)
            if reason != trouble:
                _log.warning("cannot renew the certificate", reason=reason, if_it_ends=AGAIN)
            trouble = reason
        await asyncio.sleep(pause)


async def _renewed_if_due(folder: IdentityFolder, name: str, dial: Dial) -> float:
    """Seconds until the next look."""
    life = await asyncio.to_thread(folder.life)
    left = (life.due - utc_now()).total_seconds()
    if left > 0:
        return min(left, _LOOK_SECONDS)
    await renew(folder, name, dial)
    _log.info("certificate renewed")
    return _DONE_SECONDS


async def keep_told(folder: IdentityFolder) -> None:
    """Log, at once and then hourly, that the certificate or the authority ends soon, or that
    it has ended, for ever."""
    while True:
        try:
            await asyncio.to_thread(_tell, folder)
        except TonnageError as error:
            _log.warning("cannot see when the certificate ends", reason=str(error))
        await asyncio.sleep(_TELL_SECONDS)


def _tell(folder: IdentityFolder) -> None:
    now = utc_now()
    for of, life in (("certificate", folder.life()), ("authority", folder.authority_life())):
        if life.ends <= now:
            _log.error("nobody can be spoken to any more", of=of, when=life.words(now), do=AGAIN)
        elif life.is_ending(now):
            _log.warning("ends soon and was not renewed", of=of, when=life.words(now))


async def renew(folder: IdentityFolder, name: str, dial: Dial) -> None:
    """Exchange the certificate for a fresh one of a fresh key, and take it into use."""
    key, request = make_key_and_request(name)
    await asyncio.to_thread(folder.keep_key, key)
    stub = await dial.stub(collector_pb2_grpc.CollectorServiceStub)
    asked = collector_pb2.RenewCertificateRequest(signing_request=request.decode())
    answer = await stub.RenewCertificate(asked, timeout=CALL_SECONDS)
    issued = Issued(answer.certificate.encode(), answer.authorities.encode())
    await asyncio.to_thread(folder.replace, issued, name)
