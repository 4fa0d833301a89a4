"""What this agent has launched, on disk before it is launched.

After a crash the journal tells which instances may be alive, and which
trials were in flight.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SpoolCorrupt, SpoolError
from agent.storage.commit import GroupCommit
from agent.storage.records import RecordFile
from tonnage.model import Trial
from tonnage.wire import WireError, from_bytes, to_bytes

_COMPACT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance that was about to be launched.

    ``run_id`` is empty for a launch by hand. ``trial`` is the row it leaves if
    the agent dies before the launch has an outcome.
    """

    instance_id: str
    runtime: str
    run_id: str
    image: str
    trial: Trial


class Journal:
    """The instances that may exist. Made at start-up, used on the event loop."""

    def __init__(self, path: Path, executor: Executor) -> None:
        """Open or create ``path``; blocking. Raises ``SpoolCorrupt`` or ``SpoolError``."""
        self._file = file = _opened(path)
        self._open: dict[str, Entry] = {}
        for payload in file.read(file.first - 1, file.last, 1 << 62):
            self._replay(payload)
        self._commit: GroupCommit[bytes] = GroupCommit(file, lambda _, item: item, executor)

    def _replay(self, payload: bytes) -> None:
        try:
            record = json.loads(payload)
            if "closed" in record:
                self._open.pop(record["closed"], None)
            else:
                entry = _entry(record)
                self._open[entry.instance_id] = entry
        except (KeyError, ValueError, WireError) as error:
            raise SpoolCorrupt(
                f"the journal holds a record that cannot be read: {error}"
            ) from error

    @property
    def trouble(self) -> SpoolError | None:
        """Why entries cannot be stored at the moment, if so."""
        return self._commit.trouble

    @property
    def open(self) -> tuple[Entry, ...]:
        """Entries that were not closed, in the order of their launches."""
        return tuple(self._open.values())

    async def opened(self, entry: Entry) -> None:
        """Return once ``entry`` is on disk: only then may its instance be launched.

        Raises ``SpoolError`` when the disk refuses it; it is closed again then.
        """
        self._open[entry.instance_id] = entry
        number = self._commit.append(_payload(entry), urgent=True)
        while self._commit.durable < number:
            await self._commit.moved()
            if self.trouble is not None and self._commit.durable < number:
                self.closed(entry.instance_id)
                raise self.trouble

    def closed(self, instance_id: str) -> None:
        """Note that nothing of the instance is left and its trial's rows are on disk.

        Not waited for: closing is only lost together with the process, and
        recovery then finds nothing to remove.
        """
        if self._open.pop(instance_id, None) is not None:
            self._commit.append(json.dumps({"closed": instance_id}).encode())
            if self._file.size > _COMPACT_BYTES:
                self.compact()

    def compact(self) -> None:
        """Empty the file if no entry is open."""
        if not self._open:
            self._commit.clear()

    async def close(self) -> None:
        """Flush and let go."""
        await self._commit.close()


def _opened(path: Path) -> RecordFile:
    try:
        return RecordFile(path)
    except SpoolCorrupt as error:
        remedy = (
            "Move the file away, and keep it for inspection: instances are found without it,"
            " only the trials that were in flight are not."
        )
        raise SpoolCorrupt(error.problem.message, remedy=remedy) from error


def _payload(entry: Entry) -> bytes:
    return json.dumps(
        {
            "opened": entry.instance_id,
            "runtime": entry.runtime,
            "run": entry.run_id,
            "image": entry.image,
            "trial": b64encode(to_bytes(entry.trial)).decode(),
        }
    ).encode()


def _entry(record: dict[str, str]) -> Entry:
    return Entry(
        instance_id=record["opened"],
        runtime=record["runtime"],
        run_id=record["run"],
        image=record["image"],
        trial=from_bytes(b64decode(record["trial"]), Trial),
    )
