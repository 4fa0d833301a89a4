"""The journal: on disk before the launch, open until nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import SpoolCorrupt
from agent.storage.journal import Entry, Journal
from agent.storage.records import frame
from tonnage.model import Accelerator, Outcome, Population, Trial


@pytest.fixture
def disk() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def entry(name: str) -> Entry:
    trial = Trial(
        trial_id=f"t-{name}",
        stage_id="startup",
        target_id="fake",
        accelerator=Accelerator.NONE,
        population=Population.MEASURED,
        concurrency=1,
        block=0,
        number=0,
        attempt=1,
        outcome=Outcome.INTERRUPTED,
        requested_at_unix_ns=5,
        error="the agent died",
    )
    return Entry(name, "fake", "run-1", "fake:ok", trial)


async def test_an_entry_is_on_disk_once_opened_returns(tmp_path: Path, disk: Executor) -> None:
    journal = Journal(tmp_path / "journal", disk)
    await journal.opened(entry("i1"))
    other = Journal(tmp_path / "journal", disk)  # as the next life of the agent finds it
    assert other.open == (entry("i1"),)
    await other.close()
    await journal.close()


async def test_closed_entries_are_gone_after_a_restart(tmp_path: Path, disk: Executor) -> None:
    journal = Journal(tmp_path / "journal", disk)
    await journal.opened(entry("i1"))
    await journal.opened(entry("i2"))
    journal.closed("i1")
    journal.closed("i1")
    journal.closed("unknown")
    await journal.close()
    again = Journal(tmp_path / "journal", disk)
    assert [e.instance_id for e in again.open] == ["i2"]
    await again.close()


async def test_compacting_empties_the_file_only_when_nothing_is_open(
    tmp_path: Path, disk: Executor
) -> None:
    journal = Journal(tmp_path / "journal", disk)
    await journal.opened(entry("i1"))
    journal.compact()
    await journal.opened(entry("i2"))
    journal.closed("i1")
    journal.closed("i2")
    journal.compact()
    await journal.close()
    assert Journal(tmp_path / "journal", disk).open == ()
    assert (tmp_path / "journal").stat().st_size < 200


async def test_a_record_that_says_nothing_known_is_refused(tmp_path: Path, disk: Executor) -> None:
    (tmp_path / "journal").write_bytes(frame(1, b'{"opened": "i1"}'))
    with pytest.raises(SpoolCorrupt, match="journal"):
        Journal(tmp_path / "journal", disk)
