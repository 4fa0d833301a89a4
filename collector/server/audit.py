"""The audit log: every command, and every refusal, with who, from where and how it ended.

Entries are gathered in memory and stored in batches, so that no call waits for the store
or fails with it. A connection that TLS itself turns away never reaches a call: it is in
no log but the caller's.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import structlog

from collector.errors import Forbidden, InvalidInput, TonnageError
from collector.model import AUDIT_OK as OK
from collector.model import AUDIT_PARTIAL as PARTIAL
from collector.model import AuditEntry
from collector.server.access import Caller, caller
from collector.server.missed import Missed
from collector.server.notable import REGISTER, RENEW, Notable
from collector.server.statuses import status_of
from collector.stores.base import AuditStore
from tonnage.surrounding import Call, Surrounding
from tonnage.wire import WireError

_log = structlog.get_logger(__name__)

_HELD_MOST = 10_000
_BATCH = 500
_RETRY_SECONDS = 1.0
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
        missed = call.note = Missed()
        try:
            yield
            missed.hear(call.answer)
            if told := str(missed):
                outcome, reason = PARTIAL, told
        except asyncio.CancelledError:
            outcome = "CANCELLED"
            raise
        except Exception as error:
            outcome, reason = _told(error)
            raise
        finally:
            subject = subject_of(call) or (who.name if call.name == RENEW else "")
            if call.ours and self._notable.is_notable(call.name, who, subject, outcome, reason):
                self._log.add(entry(begun, who, call.name, subject, outcome, reason))

    async def during(self, call: Call, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """See ``Surrounding``."""
        async for response in responses:
            call.note.hear(response)
            yield response


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
    if call.name == REGISTER:
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
