"""Group commit when the disk refuses."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import SpoolFull
from agent.storage.commit import GroupCommit
from agent.storage.records import RecordFile


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 2,000 bytes: a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def raise_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.usefixtures("small_files")
async def test_what_a_full_disk_refuses_is_kept_and_written_once_there_is_room(
    tmp_path: Path,
) -> None:
    with ThreadPoolExecutor(1) as disk:
        commit = GroupCommit[bytes](RecordFile(tmp_path / "log"), lambda _, item: item, disk)
        await commit.wait(commit.append(b"fits"))
        commit.append(b"x" * 3000)
        commit.append(b"after")
        while commit.trouble is None:
            await commit.moved()
        assert isinstance(commit.trouble, SpoolFull)
        assert (commit.durable, commit.pending) == (1, 2)
        raise_limit()
        commit.retry()
        await commit.wait(3)
        assert commit.trouble is None
        assert await commit.close() == 0
    file = RecordFile(tmp_path / "log")
    assert file.read(0, 9, 1 << 20) == [b"fits", b"x" * 3000, b"after"]
    file.close()


@pytest.mark.usefixtures("small_files")
async def test_closing_on_a_full_disk_says_how_much_is_lost(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as disk:
        commit = GroupCommit[bytes](RecordFile(tmp_path / "log"), lambda _, item: item, disk)
        commit.append(b"x" * 3000)
        commit.append(b"after")
        assert await commit.close() == 2
    assert (tmp_path / "log").read_bytes() == b""


async def test_clearing_drops_what_is_durable_and_keeps_what_is_pending(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as disk:
        commit = GroupCommit[bytes](RecordFile(tmp_path / "log"), lambda _, item: item, disk)
        await commit.wait(commit.append(b"old"))
        commit.clear()
        await commit.wait(commit.append(b"new"))
        await commit.close()
    file = RecordFile(tmp_path / "log")
    assert (file.first, file.read(1, 9, 100)) == (2, [b"new"])
    file.close()
