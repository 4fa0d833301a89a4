"""Group commit: what shares an fsync, and what happens when the disk refuses."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from agent.errors import SpoolFull
from agent.storage.commit import GroupCommit
from agent.storage.records import RecordFile

FEW_BYTES = 2000


def limit_files(size_bytes: int) -> None:
    """Let no file of this process grow beyond a size, as a disk that is full does."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size_bytes < 0 else size_bytes, hard))


def in_a_process_with_small_files(
    work: Callable[[Path], Coroutine[None, None, None]], path: Path
) -> None:
    """Do ``work`` in a process of its own: the limit holds for its every file, this
    test run's report included."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, limit_files, (FEW_BYTES,)) as pool:
        pool.submit(_run, work, path).result()


def _run(work: Callable[[Path], Coroutine[None, None, None]], path: Path) -> None:
    asyncio.run(work(path))


def opened(path: Path, disk: ThreadPoolExecutor) -> GroupCommit[bytes]:
    return GroupCommit(RecordFile(path), lambda _, item: item, disk)


async def _refused_then_written(path: Path) -> None:
    with ThreadPoolExecutor(1) as disk:
        commit = opened(path, disk)
        await commit.wait(commit.append(b"fits"))
        commit.append(b"x" * 3000)
        commit.append(b"after")
        while commit.trouble is None:
            await commit.moved()
        assert isinstance(commit.trouble, SpoolFull), commit.trouble
        assert (commit.durable, commit.pending) == (1, 2)
        limit_files(-1)
        commit.hurry()
        await commit.wait(3)
        assert commit.trouble is None, commit.trouble
        assert await commit.close() == 0


def test_what_a_full_disk_refuses_is_kept_and_written_once_there_is_room(tmp_path: Path) -> None:
    in_a_process_with_small_files(_refused_then_written, tmp_path / "log")
    file = RecordFile(tmp_path / "log")
    assert file.read(0, 9, 1 << 20) == [b"fits", b"x" * 3000, b"after"]
    file.close()


async def _closed_while_refused(path: Path) -> None:
    with ThreadPoolExecutor(1) as disk:
        commit = opened(path, disk)
        commit.append(b"x" * 3000)
        commit.append(b"after")
        assert await commit.close() == 2


def test_closing_on_a_full_disk_says_how_much_is_lost(tmp_path: Path) -> None:
    in_a_process_with_small_files(_closed_while_refused, tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b""


async def test_clearing_drops_what_is_durable_and_keeps_what_is_pending(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as disk:
        commit = opened(tmp_path / "log", disk)
        await commit.wait(commit.append(b"old"))
        commit.clear()
        await commit.wait(commit.append(b"new"))
        await commit.close()
    file = RecordFile(tmp_path / "log")
    assert (file.first, file.read(1, 9, 100)) == (2, [b"new"])
    file.close()


class Counted(RecordFile):
    """Counts its batches."""

    batches = 0

    def append(self, records: Sequence[bytes]) -> None:
        self.batches += 1
        super().append(records)


async def test_what_nobody_waits_for_shares_its_fsync_with_what_is_urgent(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as disk:
        file = Counted(tmp_path / "log")
        commit = GroupCommit[bytes](file, lambda _, item: item, disk)
        for _ in range(5):
            commit.append(b"idle")
            await asyncio.sleep(0)
        assert commit.durable == 0
        await commit.wait(commit.append(b"now", urgent=True))
        assert (commit.durable, file.batches) == (6, 1)
        await commit.close()


async def test_what_nobody_waits_for_is_on_disk_soon(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as disk:
        commit = opened(tmp_path / "log", disk)
        commit.append(b"idle")
        async with asyncio.timeout(5):
            await commit.wait(1)
        await commit.close()
