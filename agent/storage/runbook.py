"""What a run must remember beside its events, so that it can go on after any end.

One file of records (see ``agent.storage.records``) in the run's folder: the plan
first, then what its events do not tell. Every record is JSON with one key:

============  ===========================================================
plan          the plan as it came, base64
released      launching may begin
boot          the boot in which the run was taken up, by its id
time          an instant of the time used: boot id and ns on its clock
stop          the whole run was stopped: reason and message
stage_stop    a stage was: likewise, and after how many events it heard
suspended     the agent was stopped and will go on; ``boot`` undoes it
============  ===========================================================
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import BootClock
from agent.errors import InvalidInput, SpoolCorrupt, SpoolError
from agent.storage.commit import GroupCommit
from agent.storage.records import MAX_PAYLOAD_BYTES, RecordFile
from tonnage.model import Plan, StopReason
from tonnage.wire import from_bytes, to_bytes

NAME = "book.log"
# A disk that is full or stuck must not keep a run from being stopped.
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run was stopped from outside."""

    reason: StopReason
    message: str


@dataclass(frozen=True, slots=True)
class StageStop:
    """Why a stage was told to stop: after ``heard`` events, and whether by a guard of its own."""

    reason: StopReason
    message: str
    heard: int
    guard: bool


class RunBook:
    """The memory of one run. Opened in a thread, used on the event loop."""

    def __init__(self, folder: Path, executor: Executor) -> None:
        """Open or create the book in ``folder``; blocking.

        Raises ``SpoolCorrupt`` or ``SpoolError``.
        """
        self._file = file = RecordFile(folder / NAME)
        self.plan: Plan | None = None
        self.stop: Stop | None = None
        self.stage_stops: dict[str, StageStop] = {}
        self.released = False
        self.suspended = False
        self.boot_id = ""
        self._times: dict[str, tuple[int, int]] = {}
        try:
            for payload in file.read(0, file.last, 1 << 62):
                self._replay(json.loads(payload))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            file.close()
            raise SpoolCorrupt(
                f"{file.path} holds a record that cannot be read: {error}"
            ) from error
        self._commit: GroupCommit[bytes] = GroupCommit(file, lambda _, item: item, executor)

    def _replay(self, record: dict[str, Any]) -> None:
        ((kind, value),) = record.items()
        match kind:
            case "plan":
                self.plan = from_bytes(b64decode(value), Plan)
            case "released":
                self.released = True
            case "boot":
                self.boot_id, self.suspended = str(value), False
            case "time":
                self._note_time(str(value[0]), int(value[1]))
            case "stop":
                self.stop = Stop(StopReason(value["reason"]), value["message"])
            case "stage_stop":
                stage_id, reason, rest = value.pop("stage"), value.pop("reason"), value
                self.stage_stops[stage_id] = StageStop(StopReason(reason), **rest)
            case "suspended":
                self.suspended = True
            case _:
                raise ValueError(f"an unknown record {kind!r}")

    def begin(self, plan: Plan) -> None:
        """Store the plan of a new run durably; blocking, before anything else is kept.

        Raises ``InvalidInput`` for one that is too large, ``SpoolFull``, ``SpoolError``.
        """
        record = json.dumps({"plan": b64encode(to_bytes(plan)).decode()}).encode()
        if len(record) > MAX_PAYLOAD_BYTES:
            raise InvalidInput(
                f"must be smaller than {MAX_PAYLOAD_BYTES} bytes as it is kept",
                field="plan",
                value=f"{len(record)} bytes",
            )
        self._file.append([record])
        self._commit.durable = self._file.last
        self.plan = plan

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self._file.size

    @property
    def trouble(self) -> SpoolError | None:
        """Why nothing can be stored at the moment, if so."""
        return self._commit.trouble

    # What is noted. All return at once; ``kept`` waits for the disk.

    def release(self) -> None:
        """Launching may begin."""
        self._take({"released": True}, urgent=True)

    def taken_up(self, boot_id: str) -> None:
        """The run is worked on in this boot."""
        self._take({"boot": boot_id})

    def suspend(self) -> None:
        """The agent stops and means to go on."""
        self._take({"suspended": True}, urgent=True)

    def stopped(self, stop: Stop) -> None:
        """The whole run was stopped."""
        self._take({"stop": {"reason": stop.reason.value, "message": stop.message}}, urgent=True)

    def stage_stopped(self, stage_id: str, stop: StageStop) -> None:
        """One stage was."""
        told = {"reason": stop.reason.value, "message": stop.message, "guard": stop.guard}
        self._take({"stage_stop": {"stage": stage_id, "heard": stop.heard, **told}}, urgent=True)

    def time(self, clock: BootClock) -> None:
        """The run has been at work until now."""
        self._take({"time": [clock.boot_id, clock.now_ns()]})

    async def kept(self) -> bool:
        """Wait until all of it is on disk, though not for ever; whether it is."""
        self._commit.hurry()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._commit.wait(self._commit.last)
        except TimeoutError:
            return False
        return True

    def _take(self, record: dict[str, Any], *, urgent: bool = False) -> None:
        data = json.dumps(record).encode()
        self._replay(record)
        self._commit.append(data, urgent=urgent)

    # The time used

    def used_seconds(self, clock: BootClock) -> float:
        """How long the run has been at work: within this boot until now, whether the agent
        was there or not; of earlier boots what was noted."""
        used = 0
        for boot_id, (first, last) in self._times.items():
            used += (clock.now_ns() if boot_id == clock.boot_id else last) - first
        return used / 1e9

    def _note_time(self, boot_id: str, at_ns: int) -> None:
        first, _ = self._times.get(boot_id, (at_ns, at_ns))
        self._times[boot_id] = (first, at_ns)

    async def close(self) -> None:
        """Flush and let go."""
        await self._commit.close()
