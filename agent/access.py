"""Who may make which call of the agent, and the audit log of its commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog

from tonnage.identity import Identity, Role
from tonnage.model import Problem, ProblemKind
from tonnage.problems import attached
from tonnage.surrounding import Call, Context, Surrounding
from tonnage.tls import UnknownPeer, peer_identity
from tonnage.wire import WireError

_COLLECTOR = frozenset({Role.COLLECTOR})
_ANYONE = frozenset(Role)

CALLS: Mapping[str, frozenset[Role]] = {
    "/tonnage.v1.AgentService/Describe": _COLLECTOR,
    "/tonnage.v1.AgentService/Launch": _COLLECTOR,
    "/tonnage.v1.AgentService/ListInstances": _COLLECTOR,
    "/tonnage.v1.AgentService/DestroyInstance": _COLLECTOR,
    "/tonnage.v1.AgentService/Clean": _COLLECTOR,
    "/tonnage.v1.AgentService/StartRun": _COLLECTOR,
    "/tonnage.v1.AgentService/ReleaseRun": _COLLECTOR,
    "/tonnage.v1.AgentService/StreamEvents": _COLLECTOR,
    "/tonnage.v1.AgentService/AckEvents": _COLLECTOR,
    "/tonnage.v1.AgentService/CancelRun": _COLLECTOR,
    "/tonnage.v1.AgentService/StopAll": _COLLECTOR,
    "/grpc.health.v1.Health/Check": _ANYONE,
    "/grpc.health.v1.Health/List": _ANYONE,
    "/grpc.health.v1.Health/Watch": _ANYONE,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _ANYONE,
}
"""Every call the agent serves and the roles that may make it. What is not here, nobody may."""

COMMANDS = frozenset(
    f"/tonnage.v1.AgentService/{name}"
    for name in (
        "Launch", "DestroyInstance", "Clean", "StartRun", "ReleaseRun", "CancelRun", "StopAll",
    )
)  # fmt: skip
"""The calls that someone answers for: each leaves a line in the log."""

_log = structlog.get_logger("agent.audit")


class Gate(Surrounding):
    """Lets a call through to whom ``CALLS`` allows it and whose certificate is not revoked.

    ``secured`` says whether the server has TLS. Without, only this host reaches it, and
    everyone is ``local`` and may do everything.
    """

    def __init__(self, secured: bool, revoked: Container[str]) -> None:
        self._secured = secured
        self._revoked = revoked

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """See ``Surrounding``."""
        caller = await self._admitted(call.method, call.context)
        line = _line(call.method, caller, call.context)  # now: a cancelled call has no peer
        outcome = ""
        try:
            yield
        except WireError as error:
            await call.context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            if call.method in COMMANDS:
                outcome = outcome or _status(call.context)
                _log.info("command", **line, subject=_subject(call.request), outcome=outcome)

    async def during(self, call: Call, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The stream; to whom is revoked meanwhile, nothing more of it."""
        caller = peer_identity(call.context)
        async for response in responses:
            if caller is not None and caller.serial in self._revoked:
                await call.context.abort(
                    grpc.StatusCode.PERMISSION_DENIED, *attached(_revoked(caller))
                )
            yield response

    async def _admitted(self, method: str, context: Context) -> Identity | None:
        """Who calls; ends the call of whom it refuses, and says so in the log."""
        caller, refusal = None, None
        try:
            caller = peer_identity(context)
            refusal = self._refusal(method, caller)
        except UnknownPeer as error:
            refusal = _unauthenticated(str(error))
        if refusal is None:
            return caller
        code, problem = refusal
        line = _line(method, caller, context)
        _log.warning("refused", **line, outcome=code.name.lower(), reason=problem.message)
        await context.abort(code, *attached(problem))
        raise PermissionError(problem.message)  # should abort ever return: nothing goes on

    def _refusal(
        self, method: str, caller: Identity | None
    ) -> tuple[grpc.StatusCode, Problem] | None:
        if caller is None:
            return _unauthenticated("it came without a certificate") if self._secured else None
        if caller.serial in self._revoked:
            return grpc.StatusCode.PERMISSION_DENIED, _revoked(caller)
        if caller.role not in CALLS.get(method, frozenset()):
            return grpc.StatusCode.PERMISSION_DENIED, _wrong_role(method, caller)
        return None


def _unauthenticated(why: str) -> tuple[grpc.StatusCode, Problem]:
    problem = Problem(
        ProblemKind.INVALID_INPUT,
        f"the caller is not known: {why}",
        field="certificate",
        remedy="Call with a certificate of the fleet's authority.",
    )
    return grpc.StatusCode.UNAUTHENTICATED, problem


def _revoked(caller: Identity) -> Problem:
    return Problem(
        ProblemKind.INVALID_INPUT,
        f"the certificate of {caller.role} {caller.name} is revoked",
        field="certificate",
        value=caller.serial,
        remedy="Get another: a host joins again, a person asks the fleet's operator.",
    )


def _wrong_role(method: str, caller: Identity) -> Problem:
    call = method.rpartition("/")[2]
    allowed = " or ".join(sorted(CALLS.get(method, ()))) or "nobody"
    return Problem(
        ProblemKind.INVALID_INPUT,
        f"{caller.role} {caller.name} may not call {call}: it is for {allowed}",
        field="role",
        value=str(caller.role),
        remedy="Ask the collector, which asks its agents.",
    )


def _line(method: str, caller: Identity | None, context: Context) -> dict[str, str]:
    return {
        "call": method.rpartition("/")[2],
        "who": caller.uri if caller else "local",
        "serial": caller.serial if caller else "",
        "peer": context.peer(),
    }


def _subject(request: Any) -> str:
    """What a command is about: a run, an instance, or what is to be launched."""
    for owner in (request, getattr(request, "plan", None)):
        for key in ("run_id", "instance_id"):
            if value := getattr(owner, key, ""):
                return str(value)
    return str(getattr(getattr(request, "target", None), "id", ""))


def _status(context: Context) -> str:
    code: Any = context.code()
    return "ok" if code in (None, 0, grpc.StatusCode.OK) else _name(code)


def _name(code: Any) -> str:
    """gRPC tells a status as its enum or as its number."""
    for known in grpc.StatusCode:
        if code in (known, known.value[0]):
            return known.name.lower()
    return str(code)
