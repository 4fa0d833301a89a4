"""Record files: what survives a cut write, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import SpoolCorrupt, SpoolError
from agent.storage.records import RecordFile, frame, payloads, scan

PAYLOADS = st.lists(st.binary(max_size=60), min_size=1, max_size=8)


def file_of(items: list[bytes], first: int = 1) -> bytes:
    return b"".join(frame(first + i, item) for i, item in enumerate(items))


def read_back(data: bytes) -> list[bytes]:
    found = scan(data, "test")
    return payloads(data[: found.size])


@given(PAYLOADS, st.data())
def test_a_write_cut_anywhere_leaves_the_records_before_it(
    items: list[bytes], data: st.DataObject
) -> None:
    whole = file_of(items)
    cut = data.draw(st.integers(0, len(whole)))
    found = read_back(whole[:cut])
    assert found == items[: len(found)]
    assert len(file_of(items[: len(found)])) <= cut
    assert len(found) == len(items) or len(file_of(items[: len(found) + 1])) > cut


@given(PAYLOADS, st.data())
def test_a_changed_byte_is_corruption_unless_the_last_record_holds_it(
    items: list[bytes], data: st.DataObject
) -> None:
    whole = bytearray(file_of(items))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    if at < len(file_of(items[:-1])):
        with pytest.raises(SpoolCorrupt, match="fails its checksum, yet record"):
            scan(bytes(whole), "test")
    else:
        assert read_back(bytes(whole)) == items[:-1]


@given(PAYLOADS, st.binary(max_size=200))
def test_zeros_or_garbage_after_the_last_record_is_a_torn_tail(
    items: list[bytes], garbage: bytes
) -> None:
    whole = file_of(items)
    assert read_back(whole + garbage) == items
    assert read_back(whole + bytes(len(garbage))) == items


def test_a_missing_record_is_corruption() -> None:
    with pytest.raises(SpoolCorrupt, match="record 3 follows 1"):
        scan(frame(1, b"a") + frame(3, b"c"), "test")


@settings(max_examples=30)
@given(PAYLOADS, PAYLOADS, st.integers(0, 40))
def test_appending_goes_on_after_a_torn_tail(
    tmp_path_factory: pytest.TempPathFactory, before: list[bytes], after: list[bytes], torn: int
) -> None:
    path = tmp_path_factory.mktemp("records") / "log"
    file = RecordFile(path)
    file.append(before)
    file.close()
    with path.open("ab") as tail:
        tail.write(frame(len(before) + 1, b"x" * 60)[:torn])
    file = RecordFile(path)
    assert file.last == len(before)
    file.append(after)
    assert file.read(0, 100, 1 << 20) == [*before, *after]
    file.close()
    file = RecordFile(path)
    assert file.last == len(before) + len(after)
    file.close()


def test_reading_is_bounded_by_count_and_bytes_yet_gives_at_least_one(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "log")
    file.append([b"x" * 1000 for _ in range(10)])
    assert len(file.read(0, 3, 1 << 20)) == 3
    assert 1 <= len(file.read(0, 10, 2500)) <= 2
    assert len(file.read(9, 10, 1)) == 1
    assert file.read(10, 10, 1 << 20) == []
    file.close()


def test_clearing_keeps_the_numbers_going(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "log")
    file.append([b"a", b"b"])
    file.clear()
    file.append([b"c"])
    assert (file.first, file.last) == (3, 3)
    file.close()
    file = RecordFile(tmp_path / "log")
    assert file.read(2, 10, 100) == [b"c"]
    file.close()


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match=str(tmp_path / "absent" / "log")):
        RecordFile(tmp_path / "absent" / "log")
