"""What every store must do with results that are kept, and with raw rows that are removed;
see ``ResultStore`` in collector/stores/base.py."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from collector.errors import StoreError
from collector.model import KeptResult
from collector.stores.base import Store
from collector.stores.sql import results as removal
from tests.contracts.stores import Engine
from tests.runs_made_up import host_run, numbered, run, trial, whole_run
from tonnage.model import RunState

_END = 2_000
_EVENTS = whole_run(3)
_RESULT = KeptResult("r1", _END, len(_EVENTS), "0.1.0", _END + 5, '{"run": {}}')


async def _end(store: Store, state: RunState = RunState.FINISHED, at: int = _END) -> None:
    await store.set_run_state("r1", state, finished_at_unix_ns=at, problem=None)


@pytest.fixture
async def ended(store: Store) -> Store:
    """A store with one run that finished, of three trials on one host."""
    await store.create_run(run(), [host_run(host="h1")])
    await store.append("r1", "h1", _EVENTS)
    await _end(store)
    return store


async def test_a_result_is_kept_as_it_was_given(ended: Store) -> None:
    assert await ended.kept_result("r1") is None
    assert await ended.keep_result(_RESULT)
    assert await ended.kept_result("r1") == _RESULT


async def test_a_later_result_takes_the_place_of_an_earlier_one(ended: Store) -> None:
    later = replace(_RESULT, version="0.2.0", result_json="{}")
    assert await ended.keep_result(_RESULT)
    assert await ended.keep_result(later)
    assert await ended.kept_result("r1") == later


async def test_a_run_that_goes_on_keeps_no_result(store: Store) -> None:
    await store.create_run(run(), [host_run(host="h1")])
    assert not await store.keep_result(_RESULT)
    assert await store.kept_result("r1") is None


async def test_a_result_of_another_ending_is_not_kept(ended: Store) -> None:
    assert not await ended.keep_result(replace(_RESULT, finished_at_unix_ns=_END - 1))
    assert await ended.kept_result("r1") is None


async def test_a_run_that_ends_anew_has_no_result_until_it_is_computed_anew(store: Store) -> None:
    await store.create_run(run(), [host_run(host="h1")])
    await _end(store, RunState.PARTIAL)
    assert await store.keep_result(replace(_RESULT, events=0))
    assert await store.reopen_run("r1") == ("h1",)
    assert await store.kept_result("r1") is None
    await _end(store, at=_END + 1)
    assert await store.kept_result("r1") is None
    assert await store.without_result(10) == ("r1",)


async def test_runs_without_a_result_are_told_latest_first(ended: Store) -> None:
    for number in (2, 3):
        other = run(run_id=f"r{number}", request_token=f"t{number}", started_at_unix_ns=10 + number)
        await ended.create_run(other, [])
        await ended.set_run_state(
            other.run_id, RunState.FAILED, finished_at_unix_ns=50, problem=None
        )
    assert (await ended.without_result(10))[-2:] == ("r3", "r2")
    assert len(await ended.without_result(2)) == 2
    await ended.keep_result(replace(_RESULT, run_id="r3", finished_at_unix_ns=50, events=0))
    assert "r3" not in await ended.without_result(10)


async def test_trials_are_removed_and_everything_else_stays(ended: Store) -> None:
    before = await ended.load("r1")
    await ended.keep_result(_RESULT)
    assert await ended.remove_raw("r1", 9_000) == 3
    after = await ended.load("r1")
    assert (after.trials, after.facts, after.hosts) == ((), before.facts, before.hosts)
    assert after.run == replace(before.run, raw_removed_at_unix_ns=9_000)
    assert await ended.kept_result("r1") == _RESULT
    ((_, _, trials),) = await ended.list_runs(1)
    assert trials == 3


async def test_removing_twice_removes_once(ended: Store) -> None:
    await ended.keep_result(_RESULT)
    assert await ended.remove_raw("r1", 9_000) == 3
    assert await ended.remove_raw("r1", 9_001) == 0
    assert (await ended.find_run("r1")).raw_removed_at_unix_ns == 9_000


async def test_trials_without_a_kept_result_are_not_removed(ended: Store) -> None:
    assert await ended.remove_raw("r1", 9_000) == 0
    assert len((await ended.load("r1")).trials) == 3


async def test_trials_of_a_run_that_goes_on_are_not_removed(store: Store) -> None:
    await store.create_run(run(), [host_run(host="h1")])
    await store.append("r1", "h1", numbered([trial(0)]))
    assert await store.remove_raw("r1", 9_000) == 0
    assert len((await store.load("r1")).trials) == 1


async def test_without_its_trials_a_result_is_final(store: Store) -> None:
    await store.create_run(run(), [host_run(host="h1")])
    await store.append("r1", "h1", numbered([trial(0)]))
    await _end(store, RunState.PARTIAL)
    result = replace(_RESULT, events=1)
    await store.keep_result(result)
    await store.remove_raw("r1", 9_000)
    assert await store.reopen_run("r1") == ()
    assert not await store.keep_result(replace(result, result_json="{}"))
    assert await store.kept_result("r1") == result


async def test_events_that_come_late_make_a_result_obsolete(store: Store) -> None:
    await store.create_run(run(), [host_run(host="h1")])
    await store.append("r1", "h1", numbered([trial(0)]))
    await _end(store, RunState.PARTIAL)
    early = replace(_RESULT, events=1)
    assert await store.keep_result(early)
    await store.append("r1", "h1", numbered([trial(1)], 2))
    assert await store.kept_result("r1") is None
    assert await store.without_result(10) == ("r1",)
    assert not await store.keep_result(early)
    assert await store.remove_raw("r1", 9_000) == 0
    assert await store.keep_result(replace(early, events=2))
    assert await store.without_result(10) == ()


async def test_trials_that_come_after_their_removal_are_read_by_nobody(store: Store) -> None:
    await store.create_run(run(), [host_run(host="h1")])
    await store.append("r1", "h1", numbered([trial(0)]))
    await _end(store, RunState.PARTIAL)
    result = replace(_RESULT, events=1)
    await store.keep_result(result)
    await store.remove_raw("r1", 9_000)
    assert await store.half_removed() == ()
    await store.append("r1", "h1", numbered([trial(1)], 2))
    assert (await store.load("r1")).trials == ()
    assert await store.kept_result("r1") == result
    assert await store.half_removed() == ("r1",)
    assert await store.remove_raw("r1", 9_001) == 1
    assert await store.half_removed() == ()


async def test_a_removal_that_was_cut_off_is_gone_on_with(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_BATCH", 4)
    await store.create_run(run(), [host_run(host="h1"), host_run(host="h2")])
    events = whole_run(20)
    for host in ("h1", "h2"):
        await store.append("r1", host, events)
    await _end(store)
    await store.keep_result(replace(_RESULT, events=2 * len(events)))
    whole = removal.SqlResults._remove_events

    async def cut_off(self: removal.SqlResults, host_run_id: int, after: int) -> int:
        if after:
            raise StoreError("cut off")
        return await whole(self, host_run_id, after)

    with monkeypatch.context() as cutting:
        cutting.setattr(removal.SqlResults, "_remove_events", cut_off)
        with pytest.raises(StoreError, match="cut off"):
            await store.remove_raw("r1", 9_000)
    assert (await store.load("r1")).trials == ()
    assert await store.half_removed() == ("r1",)
    assert await store.remove_raw("r1", 9_001) > 0
    assert await store.half_removed() == ()
    assert (await store.find_run("r1")).raw_removed_at_unix_ns == 9_000


async def test_others_write_while_trials_are_removed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_BATCH", 1)
    await store.create_run(run(), [host_run(host="h1")])
    await store.create_run(run(run_id="r2"), [host_run("r2", "h1")])
    events = whole_run(200)
    await store.append("r1", "h1", events)
    await _end(store)
    await store.keep_result(replace(_RESULT, events=len(events)))
    removing = asyncio.create_task(store.remove_raw("r1", 9_000))
    assert await store.append("r2", "h1", numbered([trial(0)])) == 1
    assert not removing.done()
    assert await removing == 200


async def test_runs_with_their_trials_are_found_by_age(ended: Store) -> None:
    assert await ended.runs_with_raw(_END) == ()
    assert await ended.runs_with_raw(_END + 1) == ("r1",)
    await ended.keep_result(_RESULT)
    await ended.remove_raw("r1", 9_000)
    assert await ended.runs_with_raw(_END + 1) == ()


async def test_a_store_says_what_it_takes_on_disk(store: Store, engine: Engine) -> None:
    before = await store.size_bytes()
    await store.create_run(run(), [host_run(host="h1")])
    await store.append("r1", "h1", whole_run(2_000))
    assert await store.size_bytes() > max(before, 100_000)
