"""What every store must do; see collector/stores/base.py."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from collector.errors import (
    AmbiguousRun,
    NoSuchRun,
    SequenceGap,
    StoreError,
    StoreTooNew,
    StoreUnusable,
    UnstorableEvent,
)
from collector.model import HostRun
from collector.stores.base import Store
from tests.contracts.stores import Engine
from tests.runs_made_up import (
    end,
    facts,
    fingerprint,
    host_run,
    numbered,
    run,
    trial,
    trials_in,
    whole_run,
)
from tonnage.model import (
    Notice,
    Outcome,
    Payload,
    Problem,
    ProblemKind,
    RunPrepared,
    RunReleased,
    RunResumed,
    RunState,
    Snapshot,
    StageFinished,
)
from tonnage.v1 import model_pb2

_REOPENED = (RunState.PARTIAL, RunState.FAILED, RunState.PENDING, RunState.RUNNING)


@pytest.fixture
async def begun(store: Store) -> Store:
    """A store with the run r1 on the hosts h1 and h2."""
    await store.create_run(run(), [host_run(host="h2"), host_run(host="h1")])
    return store


async def _host(store: Store, name: str = "h1") -> HostRun:
    return next(host for host in await store.host_runs("r1") if host.host == name)


async def _sequences(store: Store) -> list[tuple[str, int]]:
    return [(row.host, row.trial.number) async for batch in store.trials("r1") for row in batch]


async def test_every_mark_of_a_start_is_kept_and_an_absent_one_is_no_zero(begun: Store) -> None:
    server = trial(0, kernel_ns=21, init_ns=22, unit_ns=23)
    restored = trial(1, restored_ns=0)
    await begun.append("r1", "h1", numbered([server, restored]))
    assert [row.trial for row in (await begun.load("r1")).trials] == [server, restored]


async def test_what_was_stored_is_what_is_loaded(begun: Store) -> None:
    events = whole_run(3)
    assert await begun.append("r1", "h1", events) == len(events)
    data = await begun.load("r1")
    assert data.run == run()
    assert [row.trial for row in data.trials] == [trial(number) for number in range(3)]
    assert [row.end for row in data.trials] == [end(number) for number in range(3)]
    assert data.trials[0].target.workload.image == "tonnage/idle:1"
    first = data.hosts[0]
    assert (first.host, first.state, first.high_water) == ("h1", RunState.FINISHED, len(events))
    assert (first.facts, first.runtimes, first.removed) == (facts(), (fingerprint(),), ("i-1",))
    assert [fact.sequence for fact in data.facts] == [3, len(events) - 1]
    assert isinstance(data.facts[1].fact, StageFinished)


async def test_zero_and_absent_stay_apart(begun: Store) -> None:
    await begun.append("r1", "h1", numbered([trial(0, Outcome.TIMED_OUT)]))
    stored = (await begun.load("r1")).trials[0]
    assert stored.trial.accepted_ns == 0
    assert stored.trial.steal_share == 0.0
    assert stored.trial.ready_ns is None
    assert stored.end is None


@pytest.mark.parametrize("text", ["\0", "a\0b\x1a0\x1a", "\x1a\x1a0\0\0", "\x1b[1m→\U0010ffff"])
async def test_text_is_kept_to_the_last_character(begun: Store, text: str) -> None:
    odd = trial(0, error=text, evidence=f"{text}{text}", image_digest=text, trial_id=text)
    why = replace(end(0), trial_id=text, error=text)
    notice = Notice(text)
    await begun.append("r1", "h1", numbered([odd, why, trial(1), notice]))
    data = await begun.load("r1")
    assert [row.trial for row in data.trials] == [odd, trial(1)]
    assert [row.end for row in data.trials] == [why, None]
    assert [fact.fact for fact in data.facts] == [notice]


async def test_what_no_name_may_hold_is_found_nowhere(begun: Store) -> None:
    with pytest.raises(NoSuchRun):
        await begun.find_run("r\0")
    assert await begun.run_by_token("\0") is None
    assert await begun.host_runs("r1", "h\0") == ()


async def test_names_are_in_the_order_of_their_bytes(store: Store) -> None:
    names = ["h-10", "H2", "h1", "hé", "h_1", "Z", "a"]
    await store.create_run(run(), [host_run(host=name) for name in names])
    assert [host.host for host in await store.host_runs("r1")] == sorted(names)
    ((_, hosts, _),) = await store.list_runs(1)
    assert hosts == tuple(sorted(names))


async def test_a_batch_sent_twice_is_stored_once(begun: Store) -> None:
    events = whole_run(5)
    for _ in range(2):
        assert await begun.append("r1", "h1", events) == len(events)
    assert len(await _sequences(begun)) == 5


async def test_an_overlapping_batch_adds_only_what_is_new(begun: Store) -> None:
    events = whole_run(20)
    await begun.append("r1", "h1", events[:17])
    assert await begun.append("r1", "h1", events[9:30]) == 30
    assert await begun.append("r1", "h1", events[:4]) == 30
    assert await begun.append("r1", "h1", events[30:]) == len(events)
    assert await _sequences(begun) == [("h1", number) for number in range(20)]


async def test_a_gap_is_refused_whole(begun: Store) -> None:
    events = whole_run(10)
    await begun.append("r1", "h1", events[:5])
    with pytest.raises(SequenceGap, match="events 6 to 8 are missing"):
        await begun.append("r1", "h1", events[8:12])
    with pytest.raises(SequenceGap):
        await begun.append("r1", "h1", [*events[5:7], *events[9:11]])
    assert (await _host(begun)).high_water == 5


async def test_a_failure_in_the_middle_stores_nothing(begun: Store, engine: Engine) -> None:
    events = whole_run(10)
    await begun.append("r1", "h1", events[:4])
    await engine.refuse_trial(12)
    with pytest.raises(StoreError, match="injected"):
        await begun.append("r1", "h1", events[4:])
    assert (await _host(begun)).high_water == 4
    assert await _sequences(begun) == [("h1", 0)]
    assert await begun.append("r1", "h1", events[4:8]) == 8


async def test_an_event_that_cannot_be_read_stores_nothing(begun: Store) -> None:
    nothing = model_pb2.Event(sequence=2)
    unknown = numbered([trial(1)], first=2)[0]
    unknown.trial.outcome = 99  # type: ignore[assignment]  # as a newer agent would send
    elsewhere = numbered([trial(1, target_id="another's")], first=2)[0]
    for odd in (nothing, unknown, elsewhere):
        with pytest.raises(UnstorableEvent, match="event 2"):
            await begun.append("r1", "h1", [*numbered([trial(0)]), odd])
    assert (await _host(begun)).high_water == 0


async def test_a_cancelled_append_is_whole_or_not_at_all(begun: Store) -> None:
    events = whole_run(2000)
    for _ in range(5):
        appending = asyncio.create_task(begun.append("r1", "h1", events))
        await asyncio.sleep(0)
        appending.cancel()
        await asyncio.gather(appending, return_exceptions=True)
        assert (await _host(begun)).high_water in (0, len(events))
    assert await begun.append("r1", "h1", events) == len(events)
    assert len(await _sequences(begun)) == 2000


async def test_two_hosts_append_at_once(begun: Store) -> None:
    async def feed(host: str) -> None:
        events = whole_run(200, host)
        for start in range(0, len(events), 10):
            await begun.append("r1", host, events[start : start + 10])

    await asyncio.gather(feed("h1"), feed("h2"))
    assert len(await _sequences(begun)) == 400
    assert {host.state for host in await begun.host_runs("r1")} == {RunState.FINISHED}


async def test_appends_that_come_at_once_keep_their_own_guarantees(
    begun: Store, engine: Engine
) -> None:
    events, unreadable = whole_run(10), model_pb2.Event(sequence=5)
    await engine.refuse_trial(12)
    for host in ("h1", "h2"):
        await begun.append("r1", host, events[:4])
    answers = await asyncio.gather(
        begun.append("r1", "h1", events[4:6]),
        begun.append("r1", "h1", events[8:]),
        begun.append("r1", "h1", events[3:8]),
        begun.append("r1", "h2", [*events[3:4], unreadable]),
        begun.append("r1", "h2", events[4:]),
        begun.append("r1", "h2", events[4:9]),
        begun.append("r1", "h3", events),
        begun.append("r1", "h2", events[9:11]),
        begun.append("r1", "h2", ()),
        return_exceptions=True,
    )
    told = [answer if isinstance(answer, int) else type(answer) for answer in answers]
    assert told == [
        *(6, SequenceGap, 8),
        *(UnstorableEvent, StoreError, 9, StoreError, 11, 11),
    ]
    assert "injected" in str(answers[4])
    assert "never planned" in str(answers[6])
    assert [(await _host(begun, host)).high_water for host in ("h1", "h2")] == [8, 11]


async def test_an_append_that_is_cancelled_takes_no_other_with_it(begun: Store) -> None:
    events = whole_run(500)
    for steps in range(20):
        part = events[steps * 50 : steps * 50 + 50]
        holder = asyncio.create_task(begun.append("r1", "h1", ()))  # those behind it join
        first = asyncio.create_task(begun.append("r1", "h1", part))
        second = asyncio.create_task(begun.append("r1", "h2", part))
        for _ in range(steps * 20):  # from before the first statement to after the commit
            await asyncio.sleep(0)
        first.cancel()
        assert await second == part[-1].sequence
        await asyncio.gather(holder, first, return_exceptions=True)
        assert (await _host(begun)).high_water in (steps * 50, part[-1].sequence)
        assert await begun.append("r1", "h1", part) == part[-1].sequence


async def test_ten_thousand_events_come_back_in_batches(begun: Store) -> None:
    events = whole_run(5000)
    for start in range(0, len(events), 1000):
        await begun.append("r1", "h1", events[start : start + 1000])
    sizes = [len(batch) async for batch in begun.trials("r1", batch=700)]
    assert sum(sizes) == trials_in(events) == 5000
    assert max(sizes) <= 701


async def test_who_reads_sees_the_moment_at_which_it_began(begun: Store) -> None:
    events = whole_run(600)
    await begun.append("r1", "h1", events[:601])
    reading = begun.trials("r1", batch=50)
    seen = len(await anext(reading))
    await begun.append("r1", "h1", events[601:])
    async for batch in reading:
        seen += len(batch)
    assert seen == trials_in(events[:601])
    assert len(await _sequences(begun)) == 600


async def test_an_append_for_a_host_that_was_not_planned_is_refused(begun: Store) -> None:
    with pytest.raises(StoreError, match="never planned"):
        await begun.append("r1", "h3", whole_run(1))


async def test_the_first_event_shows_that_the_host_runs(begun: Store) -> None:
    await begun.append("r1", "h1", whole_run(1)[:1])
    assert (await _host(begun)).state is RunState.RUNNING
    assert (await _host(begun, "h2")).state is RunState.PENDING


async def test_a_lost_host_keeps_its_reason_and_its_end(begun: Store) -> None:
    lost = Problem(ProblemKind.UNAVAILABLE, "it does not answer", remedy="Look.")
    await begun.set_host_state("r1", "h1", RunState.PARTIAL, lost)
    await begun.set_host_state("r1", "h1", RunState.FINISHED, None)
    host = await _host(begun)
    assert (host.state, host.problem) == (RunState.PARTIAL, lost)


async def test_events_that_come_late_do_not_move_an_ended_host(begun: Store) -> None:
    await begun.set_host_state("r1", "h1", RunState.PARTIAL, None)
    await begun.append("r1", "h1", whole_run(1))
    assert (await _host(begun)).state is RunState.PARTIAL


async def test_an_ended_run_never_moves(begun: Store) -> None:
    why = Problem(ProblemKind.INTERNAL, "a reason")
    await begun.set_run_state("r1", RunState.RUNNING, finished_at_unix_ns=None, problem=None)
    await begun.set_run_state("r1", RunState.PARTIAL, finished_at_unix_ns=5, problem=why)
    await begun.set_run_state("r1", RunState.FINISHED, finished_at_unix_ns=6, problem=None)
    found = await begun.find_run("r1")
    assert (found.state, found.finished_at_unix_ns, found.problem) == (RunState.PARTIAL, 5, why)
    assert await begun.unfinished_runs() == ()


async def test_a_reopened_run_goes_on_on_the_hosts_without_an_end_of_their_own(
    store: Store,
) -> None:
    hosts = [host_run(host=name) for name in ("h1", "h2", "h3")]
    await store.create_run(run(), hosts)
    events, why = whole_run(2, "h2"), Problem(ProblemKind.UNAVAILABLE, "it does not answer")
    await store.append("r1", "h1", whole_run(2))
    await store.append("r1", "h2", events[:3])
    for name in ("h2", "h3"):
        await store.set_host_state("r1", name, RunState.PARTIAL, why)
    await store.set_run_state("r1", RunState.PARTIAL, finished_at_unix_ns=5, problem=why)
    assert await store.reopen_run("r1") == ("h2", "h3")
    found = await store.find_run("r1")
    assert (found.state, found.finished_at_unix_ns, found.problem) == (RunState.RUNNING, None, None)
    states = {host.host: (host.state, host.problem) for host in await store.host_runs("r1")}
    assert states == {
        "h1": (RunState.FINISHED, None),
        "h2": (RunState.RUNNING, None),
        "h3": (RunState.PENDING, None),
    }
    assert [r.run_id for r in await store.unfinished_runs()] == ["r1"]
    assert await store.append("r1", "h2", events) == len(events)
    assert (await _host(store, "h2")).state is RunState.FINISHED


@pytest.mark.parametrize("state", [s for s in RunState if s not in _REOPENED])
async def test_a_run_that_ended_otherwise_is_not_reopened(begun: Store, state: RunState) -> None:
    await begun.set_run_state("r1", state, finished_at_unix_ns=5, problem=None)
    assert await begun.reopen_run("r1") == ()
    assert await begun.reopen_run("r2") == ()
    assert (await begun.find_run("r1")).state is state
    assert {host.state for host in await begun.host_runs("r1")} == {RunState.PENDING}


async def test_a_run_of_which_every_host_told_its_end_is_not_reopened(begun: Store) -> None:
    for name in ("h1", "h2"):
        await begun.append("r1", name, whole_run(1, name))
    await begun.set_run_state("r1", RunState.FAILED, finished_at_unix_ns=5, problem=None)
    assert await begun.reopen_run("r1") == ()
    assert (await begun.find_run("r1")).state is RunState.FAILED


async def test_a_host_that_was_given_up_is_reopened_while_its_run_goes_on(begun: Store) -> None:
    events, why = whole_run(2), Problem(ProblemKind.UNAVAILABLE, "it does not answer")
    await begun.append("r1", "h1", events[:3])
    for name in ("h1", "h2"):
        await begun.set_host_state("r1", name, RunState.PARTIAL, why)
    assert await begun.reopen_host("r1", "h1")
    first, second = await begun.host_runs("r1")
    assert (first.state, first.problem) == (RunState.RUNNING, None)
    assert (second.state, second.problem) == (RunState.PARTIAL, why)
    await begun.append("r1", "h1", events)
    assert not await begun.reopen_host("r1", "h1")
    assert (await _host(begun)).state is RunState.FINISHED


async def test_a_host_of_a_run_that_has_ended_is_not_reopened_alone(begun: Store) -> None:
    await begun.set_host_state("r1", "h1", RunState.PARTIAL, None)
    await begun.set_run_state("r1", RunState.PARTIAL, finished_at_unix_ns=5, problem=None)
    assert not await begun.reopen_host("r1", "h1")
    assert not await begun.reopen_host("r2", "h1")
    assert (await _host(begun)).state is RunState.PARTIAL


async def test_the_skew_of_a_start_is_kept(begun: Store) -> None:
    assert (await begun.find_run("r1")).start_skew_seconds is None
    await begun.set_start_skew("r1", 0.0)
    assert (await begun.find_run("r1")).start_skew_seconds == 0.0
    await begun.set_start_skew("r1", 0.0125)
    assert await begun.find_run("r1") == run(start_skew_seconds=0.0125)


@pytest.mark.parametrize("together", [True, False])
async def test_the_skew_of_a_start_is_dropped_when_a_host_begins_later(
    begun: Store, together: bool
) -> None:
    await begun.append(
        "r1", "h2", [model_pb2.Event(sequence=1, run_released=model_pb2.RunReleased())]
    )
    await begun.set_start_skew("r1", 0.01)
    if together:
        await begun.set_run_state("r1", RunState.PARTIAL, finished_at_unix_ns=5, problem=None)
        assert await begun.reopen_run("r1") == ("h1", "h2")
    else:
        assert await begun.reopen_host("r1", "h2")
        assert (await begun.find_run("r1")).start_skew_seconds == 0.01
        assert await begun.reopen_host("r1", "h1")
    assert (await begun.find_run("r1")).start_skew_seconds is None


async def test_every_attempt_of_a_trial_is_a_row_with_its_own_end(begun: Store) -> None:
    cut, last = trial(0, Outcome.INTERRUPTED), trial(1, attempt=1)
    ends = [
        end(0, interrupted=True, stopped_ns=None),
        end(0, attempt=2),
        end(1, interrupted=True),
        end(1, attempt=2, error="it hung"),
    ]
    tries = [cut, trial(0, attempt=2), last, trial(1, attempt=2), trial(1, attempt=3)]
    again: list[Payload] = [*tries[:3], ends[0], ends[2], tries[3], ends[1], ends[3], tries[4]]
    await begun.append("r1", "h1", numbered(again))
    await begun.append("r1", "h2", numbered([trial(0, attempt=2), end(0, attempt=1)]))
    stored = [row for row in (await begun.load("r1")).trials if row.host == "h1"]
    assert [row.trial for row in stored] == tries
    assert [row.end for row in stored] == [ends[0], ends[1], ends[2], ends[3], None]
    other = [row for row in (await begun.load("r1")).trials if row.host == "h2"]
    assert [row.end for row in other] == [None]


async def test_how_a_run_was_released_and_resumed_is_kept(begun: Store) -> None:
    told: list[Payload] = [
        Snapshot("vm", "private", 2.5, 90 << 20),
        RunPrepared(1.5),
        RunReleased(),
        RunResumed(1, True, "the host was booted anew"),
    ]
    await begun.append("r1", "h1", numbered(told))
    assert [fact.fact for fact in await begun.facts("r1")] == told


async def test_a_known_token_answers_with_the_earlier_run(store: Store) -> None:
    token = {"request_token": "once"}
    first = run("r1", **token)
    await store.create_run(first, [host_run("r1")])
    again = await store.create_run(run("r2", **token), [host_run("r2")])
    assert again == first
    assert await store.host_runs("r2") == ()


async def test_a_run_is_found_by_its_token(store: Store) -> None:
    token = {"request_token": "once"}
    await store.create_run(run("r1", **token), [host_run("r1")])
    await store.create_run(run("r2"), [host_run("r2")])
    found = await store.run_by_token("once")
    assert found is not None
    assert found.run_id == "r1"
    assert await store.run_by_token("other") is None
    assert await store.run_by_token("") is None


async def test_the_wish_to_cancel_a_run_is_kept(begun: Store) -> None:
    before = await begun.find_run("r1")
    await begun.request_cancel("r1")
    assert await begun.find_run("r1") == replace(before, cancel_requested=True)


async def test_a_run_that_cannot_be_created_leaves_nothing(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.create_run(run("r1"), [host_run("r1"), host_run("r1")])
    with pytest.raises(NoSuchRun):
        await store.find_run("r1")


async def test_a_run_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    for run_id in ("20260101-aaaa", "20260101-aabb", "20260101-aa", "20260102-%b"):
        await store.create_run(run(run_id), [])
    assert (await store.find_run("20260101-aab")).run_id == "20260101-aabb"
    assert (await store.find_run("20260101-aa")).run_id == "20260101-aa"
    with pytest.raises(AmbiguousRun, match="20260101-aaaa"):
        await store.find_run("20260101")
    for unknown in ("2025", "%", "20260101_", ""):
        with pytest.raises(NoSuchRun):
            await store.find_run(unknown)


async def test_runs_are_listed_latest_first_with_their_counts(begun: Store) -> None:
    await begun.append("r1", "h1", whole_run(4))
    await begun.append("r1", "h2", whole_run(3))
    await begun.create_run(run("r2", started_at_unix_ns=run().started_at_unix_ns + 1), [])
    listed = await begun.list_runs(10)
    assert [(r.run_id, hosts, trials) for r, hosts, trials in listed] == [
        ("r2", (), 0),
        ("r1", ("h1", "h2"), 7),
    ]
    assert [r.run_id for r, _, _ in await begun.list_runs(1)] == ["r2"]


async def test_unfinished_runs_come_oldest_first(store: Store) -> None:
    for run_id, started in (("r9", 1), ("r1", 3), ("r5", 2)):
        await store.create_run(run(run_id, started_at_unix_ns=started), [])
    assert [r.run_id for r in await store.unfinished_runs()] == ["r9", "r5", "r1"]


async def test_a_reopened_store_goes_on_where_it_was(engine: Engine) -> None:
    events = whole_run(10)
    store = await engine.open()
    await store.create_run(run(), [host_run()])
    await store.append("r1", "h1", events[:9])
    await store.close()
    await store.close()
    store = await engine.open()
    try:
        assert (await _host(store)).high_water == 9
        assert await store.append("r1", "h1", events[5:]) == len(events)
        assert len(await _sequences(store)) == 10
    finally:
        await store.close()


async def test_a_second_collector_is_refused_or_sees_the_same(engine: Engine, begun: Store) -> None:
    if not engine.shared:
        with pytest.raises(StoreUnusable, match="another collector holds this store"):
            await engine.open()
        assert await begun.unfinished_runs() == (run(),)
        return
    second = await engine.open()
    try:
        events = whole_run(10)
        for store, part in ((begun, events[:9]), (second, events[4:13]), (begun, events[10:])):
            assert await store.append("r1", "h1", part) == part[-1].sequence
        assert await _sequences(second) == [("h1", number) for number in range(10)]
    finally:
        await second.close()


async def test_a_store_of_a_newer_version_is_left_alone(engine: Engine) -> None:
    await (await engine.open()).close()
    await engine.pretend_revision("r9999")
    with pytest.raises(StoreTooNew, match="r9999") as refused:
        await engine.open()
    assert refused.value.problem.value.startswith(engine.place)
    assert "Start the Tonnage that wrote it" in str(refused.value)
    assert refused.value.exit_code == 2
