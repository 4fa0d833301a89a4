"""Who may call what, and who is refused although the certificate is good.

The table is literal: a method that is not in it is nobody's. What it cannot say, that an
agent acts under its own name alone, stands beside it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from collector.errors import Forbidden
from tonnage.identity import Role
from tonnage.surrounding import Call, Context, Surrounding
from tonnage.tls import UnknownPeer, peer_identity

LOCAL = "local"
_USER_KEY = "tonnage-user"
_USER_MOST = 64
# gRPC says of what family an address is; whoever reads it sees that.
_FAMILY = re.compile("^ipv[46]:")

_AGENT = frozenset({Role.AGENT})
_OPERATOR = frozenset({Role.OPERATOR})
_READERS = frozenset({Role.OPERATOR, Role.VIEWER})

ALLOWED: Mapping[str, frozenset[Role]] = {
    "Register": _AGENT,
    "RenewCertificate": _AGENT | _READERS,
    "ListHosts": _READERS,
    "SubmitRun": _OPERATOR,
    "WatchRun": _READERS,
    "CancelRun": _OPERATOR,
    "ResumeRun": _OPERATOR,
    "ListRuns": _READERS,
    "GetRun": _READERS,
    "ExportTrials": _READERS,
    "ListPrunable": _READERS,
    "PruneRun": _OPERATOR,
    "LaunchInstance": _OPERATOR,
    "ListInstances": _READERS,
    "DestroyInstance": _OPERATOR,
    "CleanHosts": _OPERATOR,
    "DrainHost": _OPERATOR,
    "ForgetHost": _OPERATOR,
    "StopAll": _OPERATOR,
    "CreateToken": _OPERATOR,
    "ListTokens": _OPERATOR,
    "RevokeToken": _OPERATOR,
    "ListCertificates": _OPERATOR,
    "RevokeCertificate": _OPERATOR,
    "ListAudit": _OPERATOR,
}
"""Every method of CollectorService, and the roles that may call it. Without TLS only this
host gets in, as ``local``, and may call all."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and from where. ``role`` is a ``Role`` or ``local``; the name of a local
    caller is what that caller says of itself."""

    role: str
    name: str
    peer: str
    serial: str = ""


def caller(context: Context) -> Caller:
    """Who makes this call. Raises ``Forbidden`` for a certificate that does not say."""
    peer = _FAMILY.sub("", unquote(context.peer() or ""))
    try:
        identity = peer_identity(context)
    except UnknownPeer as error:
        raise Forbidden(
            str(error), remedy="Use a certificate made by tonnage pki or by joining."
        ) from error
    if identity is None:
        return Caller(LOCAL, _claimed_user(context), peer)
    return Caller(str(identity.role), identity.name, peer, identity.serial)


class Revocations:
    """The serials that are refused, at once and everywhere; each open stream of one ends."""

    def __init__(self, serials: Iterable[str] = ()) -> None:
        self._serials = set(serials)
        self._listed = tuple(sorted(self._serials))
        self._watches: dict[str, set[asyncio.Event]] = {}

    def __contains__(self, serial: str) -> bool:
        return serial in self._serials

    @property
    def serials(self) -> tuple[str, ...]:
        """All of them, in order."""
        return self._listed

    def add(self, serials: Iterable[str]) -> None:
        """Refuse these from now on."""
        added = set(serials)
        self._serials |= added
        self._listed = tuple(sorted(self._serials))
        for serial in added:
            for event in self._watches.get(serial, ()):
                event.set()

    @contextmanager
    def watched(self, serial: str) -> Iterator[asyncio.Event]:
        """An event that is set when ``serial`` is revoked."""
        event = asyncio.Event()
        watches = self._watches.setdefault(serial, set())
        watches.add(event)
        try:
            yield event
        finally:
            watches.discard(event)
            if not watches:
                self._watches.pop(serial, None)


class Gate(Surrounding):
    """Lets a call through, or raises ``Forbidden`` before anything is done."""

    def __init__(self, revocations: Revocations) -> None:
        self._revocations = revocations

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """See ``Surrounding``."""
        who = caller(call.context)
        if who.serial in self._revocations:
            raise _revoked(who)
        if call.ours and who.role != LOCAL:
            _check_role(who, call.name)
            _check_own_name(who, call)
        yield

    async def during(self, call: Call, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The stream, until its end or the revocation of the caller's certificate."""
        who = caller(call.context)
        if not who.serial:
            async for response in responses:
                yield response
            return
        with self._revocations.watched(who.serial) as revoked:
            async for response in _until(revoked, responses):
                yield response
        if revoked.is_set():
            raise _revoked(who)


async def _until(stop: asyncio.Event, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """What ``responses`` gives, until its end or ``stop``.

    The stream runs in one task of its own: what it holds open over a ``yield`` belongs
    to the task that opened it.
    """
    given: asyncio.Queue[Any] = asyncio.Queue(1)
    pump = asyncio.create_task(_pump(responses, given))
    stopped = asyncio.create_task(stop.wait())
    tasks = {pump, stopped}
    try:
        while True:
            taken = asyncio.create_task(given.get())
            tasks.add(taken)
            await asyncio.wait({taken, stopped}, return_when=asyncio.FIRST_COMPLETED)
            tasks.discard(taken)
            if stop.is_set():
                taken.cancel()
                return
            item = taken.result()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _End:
    """The stream is over, by itself or with an error."""

    error: Exception | None = None


async def _pump(responses: AsyncIterator[Any], into: asyncio.Queue[Any]) -> None:
    try:
        async for response in responses:
            await into.put(response)
    except Exception as error:  # noqa: BLE001 - raised again where the stream is read
        await into.put(_End(error))
    else:
        await into.put(_End())


def _check_role(who: Caller, name: str) -> None:
    allowed = ALLOWED.get(name, frozenset())
    if who.role in allowed:
        return
    needed = " or ".join(sorted(allowed)) or "no role"
    raise Forbidden(
        f"{name} is not for the role {who.role}, which {who.name}'s certificate has: "
        f"it needs {needed}",
        field="role",
        value=who.role,
        remedy=f"Use a certificate of the role {needed}; tonnage pki issue makes one.",
    )


def _check_own_name(who: Caller, call: Call) -> None:
    told = _NAMED.get(call.name)
    if told is None or told(call.request) == who.name:
        return
    raise Forbidden(
        f"the certificate is for host {who.name}",
        field="facts.host",
        value=told(call.request)[:80],
        remedy="Set the agent's --name to that of its certificate, or join under the other.",
    )


# The methods that say a name which must be the certificate's.
_NAMED: Mapping[str, Callable[[Any], str]] = {
    "Register": lambda request: str(request.facts.host),
}


def _revoked(who: Caller) -> Forbidden:
    return Forbidden(
        f"the certificate of {who.role} {who.name} was revoked",
        field="certificate",
        value=who.serial,
        remedy="Join again with a new token, or have another certificate issued.",
    )


def _claimed_user(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == _USER_KEY and isinstance(value, str):
            return "".join(c for c in value if c.isprintable())[:_USER_MOST]
    return ""
