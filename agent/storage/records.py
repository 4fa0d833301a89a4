"""Append-only files of checksummed records: what spool and journal are made of.

A record is ``length u32 | crc32 u32 | number u64 | payload``, little endian.
The checksum covers number and payload and starts from the length, so that no
field can change unseen. Numbers are contiguous.

A write that was cut short leaves bytes after the last whole record, with no
whole record beyond them: such a torn tail is cut off when the file is opened.
Anything else that does not check is corruption, and is never repaired.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import SpoolCorrupt, SpoolError, SpoolFull

_HEADER = struct.Struct("<IIQ")
MAX_PAYLOAD_BYTES = 16 << 20
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Buffer = bytes | mmap.mmap


def frame(number: int, payload: bytes) -> bytes:
    """Return the record of ``payload``. Raises ``ValueError`` above ``MAX_PAYLOAD_BYTES``."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a record of {len(payload)} bytes exceeds {MAX_PAYLOAD_BYTES}")
    return _HEADER.pack(len(payload), _checksum(number, payload), number) + payload


def payloads(data: bytes) -> list[bytes]:
    """Return the payloads of whole records laid end to end. Raises ``SpoolCorrupt``."""
    found, offset = [], 0
    while offset < len(data):
        record = _record_at(data, offset)
        if record is None:
            raise SpoolCorrupt("a stored record fails its checksum")
        _, end = record
        found.append(data[offset + _HEADER.size : end])
        offset = end
    return found


@dataclass(slots=True)
class Scan:
    """What a file holds: the first number, where each record starts, and where
    the last whole one ends."""

    first: int = 1
    starts: array[int] = field(default_factory=lambda: array("Q"))
    size: int = 0


def scan(data: Buffer, name: str) -> Scan:
    """Find every record of ``data``; bytes of a torn tail are left out.

    Raises ``SpoolCorrupt``, naming ``name`` and the offset.
    """
    result = Scan()
    while result.size < len(data):
        record = _record_at(data, result.size)
        expected = result.first + len(result.starts)
        if record is None:
            _require_torn(data, result.size, expected, name)
            break
        number, end = record
        if not result.starts:
            result.first = number
        elif number != expected:
            raise SpoolCorrupt(f"{name}: record {number} follows {expected - 1}")
        result.starts.append(result.size)
        result.size = end
    return result


def _checksum(number: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(number.to_bytes(8, "little"), len(payload)))


def _record_at(data: Buffer, offset: int) -> tuple[int, int] | None:
    """The number and end of the whole, correct record at ``offset``, if there is one."""
    body = offset + _HEADER.size
    if body > len(data):
        return None
    length, checksum, number = _HEADER.unpack_from(data, offset)
    if length > MAX_PAYLOAD_BYTES or body + length > len(data):
        return None
    if _checksum(number, data[body : body + length]) != checksum:
        return None
    return number, body + length


def _require_torn(data: Buffer, offset: int, expected: int, name: str) -> None:
    """Raise ``SpoolCorrupt`` if a whole record of this file lies beyond ``offset``."""
    high_half = (expected >> 32).to_bytes(4, "little")
    at = data.find(high_half, offset + 1)
    while at >= 0:  # the upper half of a number is the cheapest thing to look for
        start = at - 12
        record = _record_at(data, start) if start > offset else None
        if record is not None and record[0] >= expected:
            raise SpoolCorrupt(
                f"{name}: the record at byte {offset} fails its checksum, "
                f"yet record {record[0]} after it is whole",
                remedy="Move the run's folder away, and keep it for inspection.",
            )
        at = data.find(high_half, at + 1)


class RecordFile:
    """One file of records. Blocking: its methods belong in a thread.

    One caller at a time may append; reads may run beside it.
    """

    def __init__(self, path: Path) -> None:
        """Open or create ``path`` and cut off a torn tail.

        Raises ``SpoolCorrupt``, or ``SpoolError`` when the file cannot be used.
        """
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolError(f"cannot open {path}: {error.strerror}") from error
        try:
            found = self._scan()
            os.ftruncate(self._fd, found.size)
            _sync_folder(path.parent)
        except BaseException:
            os.close(self._fd)
            raise
        self.first, self.size, self._starts = found.first, found.size, found.starts

    def _scan(self) -> Scan:
        if os.fstat(self._fd).st_size == 0:
            return Scan()
        with mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ) as data:
            return scan(data, str(self.path))

    @property
    def last(self) -> int:
        """The number of the last record; ``first - 1`` when there is none."""
        return self.first + len(self._starts) - 1

    def append(self, records: Sequence[bytes]) -> None:
        """Append payloads as one durable batch: all of them, or none.

        Raises ``SpoolFull`` when the disk has no room, else ``SpoolError``.
        """
        number = self.last + 1
        frames = [frame(number + i, payload) for i, payload in enumerate(records)]
        try:
            _write_all(self._fd, b"".join(frames), self.size)
            os.fdatasync(self._fd)
        except OSError as error:
            self._take_back()
            kind = SpoolFull if error.errno in NO_ROOM else SpoolError
            remedy = f"Free space on the disk of {self.path.parent}."
            raise kind(f"cannot store events: {error.strerror}", remedy=remedy) from error
        for item in frames:
            self._starts.append(self.size)
            self.size += len(item)

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._fd, self.size)
        except OSError as error:
            raise SpoolError(f"cannot take back a failed write to {self.path}") from error

    def read(self, after: int, max_records: int, max_bytes: int) -> list[bytes]:
        """Payloads that follow record ``after``, ascending: at least one if there is any."""
        start = max(after + 1 - self.first, 0)
        stop = min(start + max_records, len(self._starts))
        while stop > start + 1 and self._end(stop) - self._starts[start] > max_bytes:
            stop = start + (stop - start) // 2
        if start >= stop:
            return []
        begin, end = self._starts[start], self._end(stop)
        return payloads(os.pread(self._fd, end - begin, begin))

    def _end(self, stop: int) -> int:
        return self._starts[stop] if stop < len(self._starts) else self.size

    def clear(self) -> None:
        """Drop every record; numbers go on."""
        self.first, self.size, self._starts = self.last + 1, 0, array("Q")
        os.ftruncate(self._fd, 0)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
