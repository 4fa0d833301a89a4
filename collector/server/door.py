"""What other hosts reach over HTTP: joining, and pages behind a bearer token.

These handlers run in the HTTP thread; the store and the audit log belong to the
collector's loop, so what needs those is done there.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from collector import errors
from collector.model import AUDIT_OK as OK
from collector.server.access import Caller
from collector.server.audit import AuditLog, entry, reason_of
from collector.server.enrolment import Enrolment
from collector.server.scraping import ScrapeTokens
from collector.server.statuses import status_of
from collector.server.throttle import Throttle
from tonnage.model import Problem, ProblemKind

_log = structlog.get_logger(__name__)

_BODY_MOST = 32_768
_BODY_SECONDS = 10.0
_JOIN_SECONDS = 30.0
_PAGE = Callable[[Request], Response]

# The first class that fits, in this order.
_STATUSES: tuple[tuple[type[errors.TonnageError], int], ...] = (
    (errors.ConfigError, 500),
    (errors.Forbidden, 403),
    (errors.WrongState, 409),
    (errors.InvalidInput, 400),
    (errors.StoreError, 503),
)


class JoinRequest(BaseModel):
    """What ``POST /join`` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: str = Field(min_length=1, max_length=200)
    host: str = Field(min_length=1, max_length=63)
    signing_request: str = Field(min_length=1, max_length=16_384)


class TooOften(errors.TonnageError):
    """This address was wrong too often; it waits."""

    kind = ProblemKind.UNAVAILABLE


class Door:
    """Answers other hosts. ``tokens`` guards the pages; without them all are free, which
    only a loopback address without TLS is."""

    def __init__(self, enrolment: Enrolment, audit: AuditLog, tokens: ScrapeTokens | None) -> None:
        self._enrolment = enrolment
        self._audit = audit
        self._tokens = tokens
        self._throttle = Throttle()
        self._noted = Throttle()
        self._loop = asyncio.get_running_loop()

    def routes(self) -> list[Route]:
        """The pages that anyone may ask for."""
        return [
            Route("/ca.pem", self._authorities),
            Route("/join", self._join, methods=["POST"]),
        ]

    def guarded(self, page: _PAGE) -> Callable[[Request], Awaitable[Response]]:
        """``page``, for those who show a scrape token."""

        async def answer(request: Request) -> Response:
            shown = request.headers.get("authorization", "")
            if self._tokens is None or self._tokens.accepts(shown):
                return await run_in_threadpool(page, request)
            why = "the bearer token is wrong" if shown else "no bearer token was shown"
            self._note(request, "Scrape", request.url.path, "UNAUTHENTICATED", why)
            return PlainTextResponse(
                f"{why}: show one of the collector's scrape.token\n",
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )

        return answer

    async def _authorities(self, _: Request) -> Response:
        try:
            text = await run_in_threadpool(self._enrolment.authorities)
        except errors.TonnageError as error:
            return _refusal(error)
        return PlainTextResponse(text, media_type="application/x-pem-file")

    async def _join(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        wait = self._throttle.wait_seconds(address)
        if wait:
            return _refusal(_too_often(wait), 429, {"Retry-After": str(math.ceil(wait))})
        asked: JoinRequest | None = None
        try:
            asked = _parsed(await _body(request))
            issued = await self._in_loop(
                self._enrolment.join(asked.token, asked.host, asked.signing_request)
            )
        except errors.TonnageError as error:
            self._throttle.failed(address)
            outcome = status_of(error).name
            self._note(request, "Join", asked.host if asked else "", outcome, reason_of(error))
            return _refusal(error)
        except Exception as error:  # noqa: BLE001 - the border: a defect is told as one
            _log.error("a defect", method="Join", exc_info=error)
            self._note(request, "Join", asked.host if asked else "", "INTERNAL", repr(error))
            return _refusal(errors.TonnageError("a defect of Tonnage", remedy="See its log."))
        self._note(request, "Join", asked.host, OK, "")
        return JSONResponse({**asdict(issued), "collector": self._enrolment.addresses.grpc})

    async def _in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return await asyncio.wait_for(asyncio.wrap_future(future), _JOIN_SECONDS)

    def _note(
        self, request: Request, command: str, subject: str, outcome: str, reason: str
    ) -> None:
        """Put it in the audit log; of an address that is often wrong, not every time."""
        peer = f"{request.client.host}:{request.client.port}" if request.client else ""
        role = "agent" if outcome == OK else "unknown"
        name = subject if outcome == OK else ""
        told = entry(time.time_ns(), Caller(role, name, peer), command, subject, outcome, reason)
        if command != "Join" and outcome != OK and request.client:
            if self._noted.wait_seconds(request.client.host):
                return
            self._noted.failed(request.client.host)
        self._loop.call_soon_threadsafe(self._audit.add, told)


async def _body(request: Request) -> bytes:
    """The request's body. Raises ``InvalidInput`` when it is too long, or too slow."""
    held = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                held += part
                if len(held) > _BODY_MOST:
                    raise errors.InvalidInput(f"the body is longer than {_BODY_MOST} bytes")
    except (TimeoutError, ClientDisconnect) as error:
        raise errors.InvalidInput("the body did not come") from error
    return bytes(held)


def _parsed(body: bytes) -> JoinRequest:
    try:
        return JoinRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        secret = field in ("", "token")
        raise errors.InvalidInput(
            first["msg"],
            field=field,
            value="" if secret else str(first["input"])[:80],
            remedy="POST token, host and signing_request as one JSON object, "
            "as tonnage-agent join does.",
        ) from error


def _too_often(wait: float) -> TooOften:
    return TooOften(
        "this address tried to join in vain too often",
        remedy=f"Try again in {math.ceil(wait)} s.",
    )


def _refusal(
    error: errors.TonnageError, status: int | None = None, headers: dict[str, str] | None = None
) -> Response:
    if status is None:
        status = next((code for cls, code in _STATUSES if isinstance(error, cls)), 500)
    return JSONResponse({"problem": _json(error.problem)}, status_code=status, headers=headers)


def _json(problem: Problem) -> dict[str, str]:
    return {key: str(value) for key, value in asdict(problem).items() if value}
