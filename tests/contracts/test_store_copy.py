"""A whole history from every kind of store into every kind; see collector/stores/moving."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import StoreError, StoreUnusable
from collector.model import AuditEntry, Certificate, KeptResult, KnownHost, Token
from collector.stores import schema
from collector.stores.base import Store
from collector.stores.moving import base, copying
from collector.stores.moving import sqlite as moving_sqlite
from collector.stores.moving.base import Row, Sum, Summing
from collector.stores.moving.copying import Copied, copy_store
from collector.stores.open import end_of
from deploy.postgres import PrivatePostgres
from tests.contracts.stores import ENGINES, Engine, postgres, sqlite
from tests.runs_made_up import facts, fingerprint, host_run, numbered, run, trial, whole_run
from tonnage.model import Problem, ProblemKind, RunState

_TRIALS = 40
_ODD = "a NUL \0, its sign \x1a, ümlaut, 猫\n\ttab, \\ and \"quotes'"


@pytest.fixture
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty place of the kind that is the parameter."""
    if request.param == "sqlite":
        yield sqlite(tmp_path / "other")
        return
    made: PrivatePostgres = request.getfixturevalue("postgres")
    name = f"copy{uuid.uuid4().hex[:12]}"
    yield postgres(made.create_database(name))
    made.drop_database(name)


both = pytest.mark.parametrize("other", sorted(ENGINES), indirect=True)


async def _fill(store: Store) -> None:
    """Something in every table, and in every kind of column."""
    problem = Problem(ProblemKind.INTERNAL, _ODD, "f", "v", "r")
    await store.create_run(run(name=_ODD), [host_run(host="h1"), host_run(host="h2")])
    await store.create_run(run("r2", request_token="again"), [host_run("r2", "h1")])  # noqa: S106 - no secret
    await store.own("r1")
    await store.append("r1", "h1", whole_run(_TRIALS))
    await store.append(
        "r1", "h2", numbered([trial(0, evidence=_ODD, foreign_cpu_share=0.1, unit_ns=7)])
    )
    await store.set_start_skew("r1", 0.1 + 0.2)
    await store.set_run_state("r1", RunState.PARTIAL, finished_at_unix_ns=5, problem=problem)
    await store.keep_result(KeptResult("r1", 5, len(whole_run(_TRIALS)) + 1, "1", 6, '{"a": 1}'))
    known = KnownHost(facts(), (fingerprint(),), "a:1", "a:2", True, 1, 10, 20)
    await store.put_hosts([known, replace(known, facts=facts("h2"), draining=True)])
    await store.add_token(Token("t", "00", 1, 2, "h", "who", 3))
    await store.add_certificate(Certificate("ab", "agent", "h1", 1, 2))
    await store.add_audit([AuditEntry(1, "operator", "olga", "p", "StopAll", "s", "ok", _ODD)])


@pytest.fixture
async def filled(engine: Engine) -> Engine:
    """A kind of store with a history, that nobody has open."""
    store = await engine.open()
    await _fill(store)
    await store.close()
    return engine


async def _copy(source: Engine, destination: Engine) -> dict[str, Copied]:
    done = await copy_store(end_of(source.place), end_of(destination.place), lambda *_: None)
    return {each.table: each for each in done}


async def _everything(engine: Engine) -> tuple[object, ...]:
    store = await engine.open()
    try:
        return (
            [await store.load(each) for each in ("r1", "r2")],
            await store.kept_result("r1"),
            await store.run_by_token("again"),
            await store.owner("r1"),
            await store.known_hosts(),
            await store.tokens(),
            await store.certificates(),
            await store.audit(10),
        )
    finally:
        await store.close()


async def _is_empty(engine: Engine) -> bool:
    store = await engine.open()
    try:
        return not await store.list_runs(10) and not await store.audit(10)
    finally:
        await store.close()


@both
async def test_everything_is_there_as_it_was(
    filled: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BATCH", 7)
    copied = await _copy(filled, other)
    assert set(copied) == set(schema.metadata.tables)
    assert {name for name, each in copied.items() if not each.rows} == set()
    assert (copied["trial"].rows, copied["host_run"].rows) == (_TRIALS + 1, 3)
    assert await _everything(other) == await _everything(filled)


@both
async def test_a_copy_is_gone_on_with_as_any_store(filled: Engine, other: Engine) -> None:
    await _copy(filled, other)
    store = await other.open()
    try:
        await store.create_run(run("r3"), [host_run("r3", "h1")])  # its row takes a new number
        await store.append("r3", "h1", whole_run(1))
        await store.append("r2", "h1", whole_run(1))
        await store.add_audit([AuditEntry(2, "operator", "o", "p", "c", "s", "ok")])
        assert len((await store.load("r3")).trials) == 1
        assert [each.at_unix_ns for each in await store.audit(10)] == [2, 1]
    finally:
        await store.close()


@both
async def test_a_copy_of_a_copy_has_the_same_sums(
    filled: Engine, other: Engine, tmp_path: Path
) -> None:
    assert await _copy(filled, other) == await _copy(other, sqlite(tmp_path / "third"))


@both
async def test_a_history_is_never_added_to(filled: Engine, other: Engine) -> None:
    store = await other.open()
    await store.add_audit([AuditEntry(1, "operator", "o", "p", "c", "s", "ok")])
    await store.close()
    with pytest.raises(StoreUnusable, match="audit has rows"):
        await _copy(filled, other)
    store = await other.open()
    assert (await store.list_runs(1), len(await store.audit(10))) == ((), 1)
    await store.close()


@both
async def test_a_store_without_any_row_may_be_copied_to(filled: Engine, other: Engine) -> None:
    await (await other.open()).close()
    assert (await _copy(filled, other))["trial"].rows == _TRIALS + 1


@both
@pytest.mark.parametrize("used", ["source", "destination"])
async def test_a_store_that_a_collector_uses_is_left_alone(
    filled: Engine, other: Engine, used: str
) -> None:
    collector = await (filled if used == "source" else other).open()
    await collector.list_runs(1)
    try:
        with pytest.raises(StoreUnusable, match="collector"):
            await _copy(filled, other)
    finally:
        await collector.close()
    assert await _is_empty(other)


@both
@pytest.mark.parametrize("of", ["source", "destination"])
async def test_a_store_of_another_schema_is_left_alone(
    filled: Engine, other: Engine, of: str
) -> None:
    await (await other.open()).close()
    await (filled if of == "source" else other).pretend_revision("r0001")
    with pytest.raises(StoreUnusable, match="schema r0001"):
        await _copy(filled, other)


@both
async def test_where_no_store_is_none_is_copied(engine: Engine, other: Engine) -> None:
    with pytest.raises(StoreUnusable, match=r"there is none|is no Tonnage store"):
        await _copy(engine, other)


class _Differing(Summing):
    """As if one trial in the copy were another than was written."""

    seen = 0

    @property
    def sum(self) -> Sum:
        type(self).seen += 1
        return replace(super().sum, sha256=str(self.seen))


@both
async def test_a_copy_that_differs_is_not_kept(
    filled: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "Summing", _Differing)
    with pytest.raises(StoreError, match="is not what was read"):
        await _copy(filled, other)
    assert await _is_empty(other)


@both
async def test_of_a_copy_that_was_cut_off_nothing_stays(
    filled: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BATCH", 5)
    half = asyncio.Event()

    def progress(doing: str, table: str, rows: int) -> None:
        if table == "trial" and rows >= _TRIALS // 2:
            half.set()

    task = asyncio.create_task(copy_store(end_of(filled.place), end_of(other.place), progress))
    async with asyncio.timeout(20):
        await half.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert await _is_empty(other)
    assert (await _copy(filled, other))["trial"].rows == _TRIALS + 1


async def test_a_full_disk_is_told_and_leaves_nothing(
    filled: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving_sqlite, "_DRAFT", (*moving_sqlite._DRAFT, "max_page_count=100"))
    store = await filled.open()
    await store.append("r2", "h1", whole_run(2_000))
    await store.close()
    there = sqlite(tmp_path / "other")
    with pytest.raises(StoreError, match="full"):
        await _copy(filled, there)
    monkeypatch.undo()
    assert await _is_empty(there)


async def test_what_a_killed_copy_left_is_no_store(filled: Engine, tmp_path: Path) -> None:
    there = sqlite(tmp_path / "other")
    folder = tmp_path / "other" / "store"
    folder.mkdir(parents=True)
    for suffix in ("", "-wal", "-shm"):
        (folder / f"tonnage.db.copying{suffix}").write_bytes(b"half")
    assert (await _copy(filled, there))["trial"].rows == _TRIALS + 1
    assert sorted(file.name for file in folder.iterdir()) == ["tonnage.db", "tonnage.db.lock"]


def _sum(rows: Sequence[Row], cut: Callable[[Sequence[Row]], Sequence[Sequence[Row]]]) -> Sum:
    summing = Summing(schema.trial_end)
    for part in cut(rows):
        summing.add(part)
    return summing.sum


def test_a_sum_is_of_rows_and_not_of_batches_or_of_how_an_engine_writes_a_flag() -> None:
    width = len(schema.trial_end.columns)
    rows = [(n, *("x",) * (width - 2), n % 2) for n in range(10)]
    flags = [(*row[:-1], bool(row[-1])) for row in rows]
    assert _sum(rows, lambda all_: [all_]) == _sum(flags, lambda all_: [all_[:3], all_[3:]])
    assert _sum(rows, lambda all_: [all_]) != _sum(rows[::-1], lambda all_: [all_])
