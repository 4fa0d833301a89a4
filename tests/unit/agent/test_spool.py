"""The outbox: durable before visible, contiguous, acknowledged, bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import InvalidInput, NoSuchRun, SpoolCorrupt, SpoolFull
from agent.storage.runbook import NAME as BOOK
from agent.storage.runlog import RunLog
from agent.storage.spool import Spool
from tonnage.model import Event, Notice, Plan, RunFinished, RunState
from tonnage.wire import from_bytes

CAP = 4 << 20


@pytest.fixture
def disk() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def a_plan(run_id: str) -> Plan:
    return Plan(run_id, 1, (), (), 0.5, 60)


def notices(data: list[bytes]) -> list[tuple[int, str]]:
    events = [from_bytes(item, Event) for item in data]
    return [(e.sequence, e.payload.message) for e in events if isinstance(e.payload, Notice)]


async def open_log(tmp_path: Path, disk: Executor, cap: int = CAP) -> tuple[Spool, RunLog]:
    spool = Spool(tmp_path, cap, 3600, disk)
    return spool, await spool.create(a_plan("run-1"))


async def test_events_are_contiguous_and_survive_a_restart(tmp_path: Path, disk: Executor) -> None:
    spool, log = await open_log(tmp_path, disk)
    assert [log.record(Notice(f"n{i}")) for i in range(3)] == [1, 2, 3]
    await log.flushed()
    await spool.close()
    again = Spool(tmp_path, CAP, 3600, disk).get("run-1")
    assert notices(await again.read(0, 10, CAP)) == [(1, "n0"), (2, "n1"), (3, "n2")]
    assert again.record(Notice("n3")) == 4
    assert await again.close() == 0


async def test_an_event_is_not_visible_before_it_is_on_disk(tmp_path: Path) -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1) as slow:
        folder = tmp_path / "run"
        folder.mkdir()
        log = RunLog("run", folder, slow)
        slow.submit(gate.wait)  # the disk is busy until the gate opens
        called: list[int] = []
        sequence = log.record(Notice("n"), lambda: called.append(log.durable))
        assert (log.durable, log.last, log.pending, called) == (0, 1, 1, [])
        gate.set()
        assert notices(await log.read(0, 10, CAP)) == [(sequence, "n")]
        await log.close()
        assert called == [1]


async def test_many_events_share_a_flush(tmp_path: Path, disk: Executor) -> None:
    _, log = await open_log(tmp_path, disk)
    for i in range(5000):
        log.record(Notice(f"n{i}"))
    await log.flushed()
    seen = 0
    while seen < 5000:
        batch = notices(await log.read(seen, 700, CAP))
        assert batch[0][0] == seen + 1
        seen += len(batch)
    await log.close()


async def test_a_reader_at_the_end_waits_for_more_and_ends_with_the_run(
    tmp_path: Path, disk: Executor
) -> None:
    _, log = await open_log(tmp_path, disk)
    reading = asyncio.create_task(log.read(0, 10, CAP))
    log.record(Notice("late"))
    assert notices(await reading) == [(1, "late")]
    reading = asyncio.create_task(log.read(1, 10, CAP))
    log.record(RunFinished(RunState.FINISHED))
    assert len(await reading) == 1
    assert await log.read(2, 10, CAP) == []
    await log.close()


async def test_acks_persist_and_only_go_forward(tmp_path: Path, disk: Executor) -> None:
    spool, log = await open_log(tmp_path, disk)
    log.record(Notice("a"))
    log.record(Notice("b"))
    await log.flushed()
    await log.ack(2)
    await log.ack(1)
    with pytest.raises(InvalidInput, match="sequence"):
        await log.ack(3)
    await spool.close()
    assert Spool(tmp_path, CAP, 3600, disk).get("run-1").acked == 2


async def test_a_run_is_dropped_once_ended_and_acknowledged_for_a_while(
    tmp_path: Path, disk: Executor
) -> None:
    spool = Spool(tmp_path, CAP, 0, disk)
    log = await spool.create(a_plan("run-1"))
    log.record(RunFinished(RunState.FINISHED))
    await log.flushed()
    await spool.sweep()
    assert spool.knows("run-1")
    await log.ack(1)
    await spool.sweep()
    assert not log.folder.exists()
    with pytest.raises(NoSuchRun):
        spool.get("run-1")
    assert spool.knows("run-1")  # and it is not begun a second time, not even by a later life
    assert Spool(tmp_path, CAP, 0, disk).knows("run-1")


async def test_two_sweeps_at_the_same_time_drop_each_run_once(
    tmp_path: Path, disk: Executor
) -> None:
    spool = Spool(tmp_path, CAP, 3600, disk)
    logs = [await spool.create(a_plan(f"run-{number}")) for number in range(3)]
    for log in logs:
        log.record(RunFinished(RunState.FINISHED))
        await log.flushed()
        await log.ack(1)
        log.settled_at -= 3601
    await asyncio.gather(spool.sweep(), spool.sweep())
    assert spool.runs == ()


async def test_at_the_cap_launching_pauses_and_what_is_there_stays(
    tmp_path: Path, disk: Executor
) -> None:
    spool, log = await open_log(tmp_path, disk, cap=300 << 10)
    go = asyncio.Event()
    await spool.room(log, 0, go)
    for _ in range(60):
        log.record(Notice("x" * 1000))
    await log.flushed()
    with pytest.raises(SpoolFull, match="the spool holds"):
        await spool.room(log, 0.3, go)
    assert log.durable == 60  # taken all the same: rows of trials in flight are not lost
    with pytest.raises(SpoolFull):
        await spool.create(a_plan("run-2"))
    await spool.close()


async def test_a_full_spool_makes_room_by_dropping_what_is_acknowledged(
    tmp_path: Path, disk: Executor
) -> None:
    spool, old = await open_log(tmp_path, disk, cap=400 << 10)
    log = await spool.create(a_plan("run-2"))
    for _ in range(150):
        old.record(Notice("x" * 1000))
    old.record(RunFinished(RunState.FINISHED))
    await old.flushed()
    waiting = asyncio.create_task(spool.room(log, 10, asyncio.Event()))
    await old.ack(old.last)
    await waiting
    assert spool.runs == (log,)
    await spool.close()


async def test_a_stop_ends_the_wait_for_room(tmp_path: Path, disk: Executor) -> None:
    spool, log = await open_log(tmp_path, disk, cap=257 << 10)
    for _ in range(10):
        log.record(Notice("x" * 1000))
    await log.flushed()
    stopped = asyncio.Event()
    waiting = asyncio.create_task(spool.room(log, 60, stopped))
    stopped.set()
    await waiting
    await spool.close()


async def test_a_corrupt_run_is_told_and_left_alone_while_others_are_served(
    tmp_path: Path, disk: Executor
) -> None:
    spool, log = await open_log(tmp_path, disk)
    good = await spool.create(a_plan("run-2"))
    for i in range(3):
        log.record(Notice(f"n{i}"))
        good.record(Notice(f"n{i}"))
    await spool.close()
    path = tmp_path / "run-1" / "events.log"
    broken = bytearray(path.read_bytes())
    broken[20] ^= 1
    path.write_bytes(broken)
    again = Spool(tmp_path, CAP, 3600, disk)
    with pytest.raises(SpoolCorrupt, match="fails its checksum"):
        again.get("run-1")
    assert path.read_bytes() == broken
    assert len(await again.get("run-2").read(0, 10, CAP)) == 3
    await again.close()


@pytest.mark.parametrize("written", [0, 1, 20, -1])
async def test_a_run_whose_plan_was_not_kept_whole_never_began_and_can_be_begun(
    tmp_path: Path, disk: Executor, written: int
) -> None:
    spool, log = await open_log(tmp_path, disk)
    await spool.close()
    (tmp_path / "known-runs").unlink()
    book = log.folder / BOOK
    whole = book.read_bytes()
    book.write_bytes(whole[:written])
    again = Spool(tmp_path, CAP, 3600, disk)
    assert not again.knows("run-1")
    assert (await again.create(a_plan("run-1"))).book.plan == a_plan("run-1")
    await again.close()
    assert book.read_bytes() == whole


async def test_a_run_whose_plan_was_kept_is_known_even_if_nobody_was_told(
    tmp_path: Path, disk: Executor
) -> None:
    spool, _ = await open_log(tmp_path, disk)
    await spool.close()
    (tmp_path / "known-runs").unlink()
    again = Spool(tmp_path, CAP, 3600, disk)
    assert again.knows("run-1")
    assert again.get("run-1").book.plan == a_plan("run-1")
    await again.close()


@pytest.mark.parametrize("run_id", ["", "../up", "a/b", "x" * 65, ".hidden"])
async def test_a_run_id_that_is_no_name_is_refused(
    tmp_path: Path, disk: Executor, run_id: str
) -> None:
    with pytest.raises(InvalidInput, match="run_id"):
        await Spool(tmp_path, CAP, 3600, disk).create(a_plan(run_id))


async def test_a_fact_that_does_not_fit_its_field_becomes_a_notice(
    tmp_path: Path, disk: Executor
) -> None:
    _, log = await open_log(tmp_path, disk)
    log.record(RunFinished("nonsense"))  # type: ignore[arg-type]  # the defect under test
    log.record(Notice("next"))
    found = notices(await log.read(0, 10, CAP)) + notices(await log.read(1, 10, CAP))
    assert "could not be stored" in found[0][1]
    assert found[-1] == (2, "next")
    await log.close()
