"""What a run remembers beside its events."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.clock import BootClock
from agent.errors import InvalidInput, SpoolCorrupt
from agent.storage.known import KnownRuns
from agent.storage.records import MAX_PAYLOAD_BYTES
from agent.storage.runbook import NAME, RunBook, StageStop, Stop
from tonnage.model import Plan, StopReason

PLAN = Plan("run-1", 7, (), (), 0.5, 60, release_within_seconds=3)


class Hand:
    """A clock moved by hand, of one boot."""

    def __init__(self, boot_id: str = "boot-1", seconds: float = 1000) -> None:
        self.seconds = seconds
        self.clock = BootClock(boot_id, lambda: int(self.seconds * 1e9))


@pytest.fixture
def disk() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


async def again(book: RunBook, folder: Path, disk: Executor) -> RunBook:
    """The book as a later life of the agent finds it."""
    await book.close()
    return RunBook(folder, disk)


async def test_everything_noted_is_there_in_a_later_life(tmp_path: Path, disk: Executor) -> None:
    book = RunBook(tmp_path, disk)
    assert (book.plan, book.stop, book.released, book.suspended) == (None, None, False, False)
    book.begin(PLAN)
    book.taken_up("boot-1")
    book.release()
    book.stopped(Stop(StopReason.CANCELLED, "cancelled"))
    stage_stop = StageStop(StopReason.DISK_HEADROOM, "no room", 17, guard=True)
    book.stage_stopped("s", stage_stop)
    book.suspend()
    assert await book.kept()
    book = await again(book, tmp_path, disk)
    assert (book.plan, book.boot_id, book.released, book.suspended) == (PLAN, "boot-1", True, True)
    assert book.stop == Stop(StopReason.CANCELLED, "cancelled")
    assert book.stage_stops == {"s": stage_stop}
    book.taken_up("boot-2")
    book = await again(book, tmp_path, disk)
    assert (book.boot_id, book.suspended) == ("boot-2", False)
    await book.close()


async def test_time_goes_on_within_a_boot_and_counts_as_noted_over_a_reboot(
    tmp_path: Path, disk: Executor
) -> None:
    hand, book = Hand(), RunBook(tmp_path, disk)
    assert book.used_seconds(hand.clock) == 0
    book.time(hand.clock)
    hand.seconds += 30
    book = await again(book, tmp_path, disk)  # the agent was away
    assert book.used_seconds(hand.clock) == 30
    book.time(hand.clock)
    hand.seconds += 8  # not noted any more
    after = Hand("boot-2", seconds=5)
    book = await again(book, tmp_path, disk)
    assert book.used_seconds(after.clock) == 30
    book.time(after.clock)
    after.seconds += 4
    assert book.used_seconds(after.clock) == 34
    await book.close()


async def test_a_torn_last_note_costs_only_itself(tmp_path: Path, disk: Executor) -> None:
    book = RunBook(tmp_path, disk)
    book.begin(PLAN)
    book.release()
    await book.close()
    file = tmp_path / NAME
    file.write_bytes(file.read_bytes()[:-3])
    book = RunBook(tmp_path, disk)
    assert (book.plan, book.released) == (PLAN, False)
    await book.close()


async def test_a_book_that_was_changed_is_corrupt(tmp_path: Path, disk: Executor) -> None:
    book = RunBook(tmp_path, disk)
    book.begin(PLAN)
    book.release()
    await book.close()
    data = bytearray((tmp_path / NAME).read_bytes())
    data[30] ^= 0xFF
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(SpoolCorrupt):
        RunBook(tmp_path, disk)


async def test_a_plan_too_large_to_keep_is_refused(tmp_path: Path, disk: Executor) -> None:
    book = RunBook(tmp_path, disk)
    with pytest.raises(InvalidInput, match="plan: must be smaller"):
        book.begin(Plan("x" * MAX_PAYLOAD_BYTES, 1, (), (), 0.5, 1))
    await book.close()


def test_known_runs_are_known_in_a_later_life_up_to_a_bound(tmp_path: Path) -> None:
    known = KnownRuns(tmp_path / "known", most=3)
    known.add(["a", "b"])
    known.add(["c"])
    known.add(["d", "a"])
    assert [name in KnownRuns(tmp_path / "known", 3) for name in "abcd"] == [False, *[True] * 3]
