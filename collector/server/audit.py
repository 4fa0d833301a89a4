"""The audit log: every command, and every refusal, with who, from where and how it ended.

Entries are gathered in memory and stored in batches, so that no call waits for the store
or fails with it. A connection that TLS itself turns away never reaches a call: it is in
no log but the caller's.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import structlog

from collector.errors import Forbidden, InvalidInput, TonnageError
from collector.model import AUDIT_OK as OK
from collector.model import AuditEntry
from collector.server.access import Caller, caller
from collector.server.statuses import status_of
from collector.server.throttle import Throttle
from collector.stores.base import AuditStore
from tonnage.surrounding import Call, Surrounding
from tonnage.wire import WireError

_log = structlog.get_logger(__name__)

READS = frozenset(
    {
        "ListHosts",
        "WatchRun",
        "ListRuns",
        "GetRun",
        "ExportTrials",
        "ListInstances",
        "ListTokens",
        "ListCertificates",
        "ListAudit",
    }
)
"""The methods that change nothing: an entry of theirs is a refusal."""

_HELD_MOST = 10_000
_BATCH = 500
_RETRY_SECONDS = 1.0
_REGISTER = "Register"
_RENEW = "RenewCertificate"  # it names nobody: the certificate does
# What agents ask again and again by themselves.
_REPEATED = (_REGISTER, _RENEW)
_REFUSALS_KEPT = 4096
_REFUSALS_MOST = 60  # a minute, of one caller: who is refused must not fill the disk
_REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED")
_TEXT_MOST = 500
# What a request, or its answer, is about; the first that is set.
_SUBJECTS = ("run_id", "instance_id", "host", "person", "token_id", "serial")


class AuditLog:
    """Takes entries at once and stores them soon, while it is entered; ``dropped`` counts
    those that were not stored because the store failed for too long."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store
        self._held: deque[AuditEntry] = deque()
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def add(self, entry: AuditEntry) -> None:
        """Take an entry. Never blocks, never fails; the oldest goes where too many wait."""
        if len(self._held) >= _HELD_MOST:
            self._held.popleft()
            self.dropped += 1
            _log.error("an audit entry was lost: the store takes none", dropped=self.dropped)
        self._held.append(entry)
        self._wake.set()

    async def flush(self) -> None:
        """Store what is held. Raises ``StoreError``, and keeps what was not stored."""
        async with self._turn:
            while self._held:
                batch = [self._held.popleft() for _ in range(min(_BATCH, len(self._held)))]
                try:
                    await self._store.add_audit(batch)
                except BaseException:
                    self._held.extendleft(reversed(batch))
                    raise

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="audit")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            async with self._turn:  # never in the middle of a batch
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self.flush()
        except Exception as failure:  # noqa: BLE001 - what is lost is told; the rest still closes
            _log.error("audit entries were lost", entries=len(self._held), why=str(failure))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next batch may pass
                _log.error("the audit log cannot be stored; trying again", why=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                self._wake.set()


class AuditTrail(Surrounding):
    """Notes each call in the log, by the rules of ``Notable``."""

    def __init__(self, log: AuditLog, registered: Iterable[str] = ()) -> None:
        self._log = log
        self._notable = Notable(registered)

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """See ``Surrounding``."""
        begun, outcome, reason = time.time_ns(), OK, ""
        who = _known_caller(call)  # now: gRPC frees a cancelled call's peer beneath us
        try:
            yield
        except asyncio.CancelledError:
            outcome = "CANCELLED"
            raise
        except Exception as error:
            outcome, reason = _told(error)
            raise
        finally:
            subject = subject_of(call) or (who.name if call.name == _RENEW else "")
            if call.ours and self._notable.is_notable(call.name, who, subject, outcome, reason):
                self._log.add(entry(begun, who, call.name, subject, outcome, reason))


class Notable:
    """Which calls are worth an entry: commands and refusals. Of an agent's endless
    registering the first of a host; each new reason for turning it away; and of a caller
    who is refused all the time, so many refusals a minute. The program's log has them all."""

    def __init__(self, registered: Iterable[str]) -> None:
        self._registered = set(registered)
        self._refused: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._refusals = Throttle(_REFUSALS_MOST, 60.0)

    def is_notable(self, name: str, who: Caller, subject: str, outcome: str, reason: str) -> bool:
        """Whether this call, ended so, gets an entry. Remembers what it was told."""
        if name == "ForgetHost" and outcome == OK:
            self._registered.discard(subject)
        if name in _REPEATED and not self._is_news((name, who.name, subject), outcome, reason):
            return False
        if outcome in _REFUSED:
            return self._is_rare(f"{who.role}/{who.name or who.peer.rpartition(':')[0]}")
        if name == _REGISTER and outcome == OK:
            return self._is_first(subject)
        # A watch that is left is no refusal.
        return outcome not in (OK, "CANCELLED") if name in READS else True

    def _is_rare(self, caller_name: str) -> bool:
        if self._refusals.wait_seconds(caller_name):
            return False
        self._refusals.failed(caller_name)
        return True

    def _is_first(self, host: str) -> bool:
        first = host not in self._registered
        self._registered.add(host)
        return first

    def _is_news(self, about: tuple[str, str, str], outcome: str, reason: str) -> bool:
        """Whether this is not the refusal that it was the last time."""
        if outcome == OK:
            self._refused.pop(about, None)
            return True
        if self._refused.get(about) == reason:
            return False
        self._refused[about] = reason
        while len(self._refused) > _REFUSALS_KEPT:
            self._refused.popitem(last=False)
        return True


def entry(
    at_unix_ns: int, who: Caller, command: str, subject: str, outcome: str, reason: str = ""
) -> AuditEntry:
    """An entry, its texts on one line and not without end."""
    return AuditEntry(
        at_unix_ns=at_unix_ns,
        role=who.role,
        name=_line(who.name),
        peer=_line(who.peer),
        command=command,
        subject=_line(subject),
        outcome=outcome,
        reason=_line(reason),
    )


def subject_of(call: Call) -> str:
    """What the call is about: as its answer says it, else as it was asked."""
    if call.name == _REGISTER:
        return str(getattr(getattr(call.request, "facts", None), "host", ""))
    for told in (call.answer, call.request):
        for field in _SUBJECTS:
            value = getattr(told, field, "")
            if isinstance(value, str) and value:
                return value
    return ""


def reason_of(error: TonnageError) -> str:
    """Why, without the way out: who reads the log was not the one refused."""
    told = error.problem
    value = f" (got {told.value})" if told.value else ""
    return f"{told.field}: {told.message}{value}" if told.field else f"{told.message}{value}"


def _told(error: Exception) -> tuple[str, str]:
    """How a call that raised ``error`` ends, and why."""
    if isinstance(error, WireError):
        error = InvalidInput(str(error))
    if isinstance(error, TonnageError):
        return status_of(error).name, reason_of(error)
    return "INTERNAL", f"a defect of Tonnage: {error!r}"


def _known_caller(call: Call) -> Caller:
    try:
        return caller(call.context)
    except Forbidden:
        return Caller("unknown", "", str(call.context.peer()))


def _line(text: Any) -> str:
    return " ".join(str(text).split())[:_TEXT_MOST]
