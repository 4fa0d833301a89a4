"""What a PostgreSQL store does when PostgreSQL refuses, collides, or goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from collector.errors import StoreError, UnstorableEvent
from collector.model import Token
from collector.stores.base import Store
from collector.stores.open import open_store
from deploy.postgres import PrivatePostgres
from tests.integration.scripted_agent import ScriptedAgent
from tests.integration.stand import TRIALS, Stand
from tests.runs_made_up import EPOCH_NS, host_run, numbered, run, trial, whole_run
from tonnage.model import RunState


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    opened = await open_store(postgres_url)
    await opened.create_run(run(), [host_run()])
    yield opened
    await opened.close()


class _Refusal:
    """Makes the database refuse changes of a table with ``sqlstate`` for some tries."""

    def __init__(self, postgres: PrivatePostgres, url: str, sqlstate: str) -> None:
        self._postgres = postgres
        self._database = url.rpartition("/")[2]
        self._sqlstate = sqlstate

    def of(self, change: str, table: str, tries: int) -> None:
        self._run(
            "CREATE SEQUENCE tries; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$BEGIN IF nextval('tries') <= {tries} THEN"
            f" RAISE EXCEPTION 'injected' USING ERRCODE = '{self._sqlstate}'; END IF;"
            " RETURN NEW; END$$;"
            f" CREATE TRIGGER refusal BEFORE {change} ON {table} FOR EACH ROW"
            " EXECUTE FUNCTION refuse()"
        )

    def tries(self) -> int:
        return int(self._run("SELECT last_value FROM tries"))

    def _run(self, statement: str) -> str:
        return self._postgres.run(statement, self._database)


@pytest.fixture(params=["40001", "40P01"])
def refusal(
    request: pytest.FixtureRequest, postgres: PrivatePostgres, postgres_url: str
) -> _Refusal:
    """A serialisation failure, then a deadlock."""
    return _Refusal(postgres, postgres_url, request.param)


async def test_an_append_that_collides_is_tried_again(store: Store, refusal: _Refusal) -> None:
    refusal.of("INSERT", "trial", tries=4)
    events = whole_run(3)
    assert await store.append("r1", "h1", events) == len(events)
    assert [row.trial.number async for rows in store.trials("r1") for row in rows] == [0, 1, 2]
    assert refusal.tries() == 4 + 3


async def test_a_write_that_collides_is_tried_again(store: Store, refusal: _Refusal) -> None:
    refusal.of("UPDATE", "run", tries=4)
    await store.set_run_state("r1", RunState.RUNNING, finished_at_unix_ns=None, problem=None)
    assert (await store.find_run("r1")).state is RunState.RUNNING
    assert refusal.tries() == 5


async def test_what_collides_without_end_fails_in_bounds(store: Store, refusal: _Refusal) -> None:
    refusal.of("UPDATE", "run", tries=10**6)
    with pytest.raises(StoreError, match="injected"):
        await store.set_run_state("r1", RunState.RUNNING, finished_at_unix_ns=None, problem=None)
    assert (await store.find_run("r1")).state is RunState.PENDING
    assert 10 <= refusal.tries() <= 20


async def test_other_refusals_are_not_tried_again(
    store: Store, postgres: PrivatePostgres, postgres_url: str
) -> None:
    refusal = _Refusal(postgres, postgres_url, "53100")  # disk full
    refusal.of("INSERT", "trial", tries=1)
    with pytest.raises(StoreError, match="injected") as refused:
        await store.append("r1", "h1", whole_run(1))
    assert refused.value.problem.value == postgres_url
    assert refusal.tries() == 1


async def test_a_token_is_used_no_more_often_than_it_may_over_two_collectors(
    store: Store, postgres_url: str
) -> None:
    other = await open_store(postgres_url)
    try:
        await store.add_token(Token("t1", "ab" * 32, 2 * EPOCH_NS, 15, "", "me", EPOCH_NS))
        uses = [each.use_token("ab" * 32, "h1", EPOCH_NS) for each in (store, other) * 10]
        taken = [token.uses_left for token in await asyncio.gather(*uses) if token is not None]
        assert sorted(taken) == list(range(15))
    finally:
        await other.close()


async def test_a_run_submitted_to_two_collectors_at_once_is_stored_once(
    store: Store, postgres_url: str
) -> None:
    other = await open_store(postgres_url)
    try:
        twins = [run(name, request_token=postgres_url) for name in ("r2", "r3")]
        found = await asyncio.gather(
            *(
                each.create_run(twin, [host_run(twin.run_id)])
                for each, twin in zip((store, other), twins, strict=True)
            )
        )
        assert found[0] == found[1]
        assert len(await store.list_runs(10)) == 2
    finally:
        await other.close()


async def test_an_integer_that_no_column_holds_is_an_event_that_cannot_be_stored(
    store: Store,
) -> None:
    with pytest.raises(UnstorableEvent, match="out of int32 range"):
        await store.append("r1", "h1", numbered([trial(0), trial(2**32 - 1)]))
    assert await store.append("r1", "h1", numbered([trial(0)])) == 1


async def test_connections_that_were_cut_are_had_anew(
    store: Store, postgres: PrivatePostgres
) -> None:
    events = whole_run(10)
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'tonnage'"
    )
    await asyncio.gather(store.append("r1", "h1", events[:5]), store.known_hosts())
    assert int(postgres.run(cut)) >= 2
    assert await store.append("r1", "h1", events[5:9]) == 9
    assert int(postgres.run(cut)) >= 1
    assert (await store.host_runs("r1"))[0].high_water == 9
    await store.set_run_state("r1", RunState.RUNNING, finished_at_unix_ns=None, problem=None)


async def test_a_database_that_was_away_loses_nothing(own_postgres: PrivatePostgres) -> None:
    url, events = own_postgres.create_database("d"), whole_run(2000)
    store = await open_store(url)
    try:
        await store.create_run(run(), [host_run()])
        mark = 0
        for crash in (own_postgres.stop, own_postgres.kill):
            mark = await store.append("r1", "h1", events[: mark + 700])
            crash()
            for failing in (
                store.append("r1", "h1", events[mark : mark + 5]),
                store.find_run("r1"),
                store.request_cancel("r1"),
            ):
                with pytest.raises(StoreError) as refused:
                    await failing
                assert refused.value.problem.value == url
            own_postgres.start()
        assert await store.append("r1", "h1", events) == len(events)
        numbers = [row.trial.number async for rows in store.trials("r1") for row in rows]
        assert numbers == list(range(2000))
    finally:
        await store.close()


@pytest.mark.parametrize("crash", [PrivatePostgres.stop, PrivatePostgres.kill])
async def test_a_run_goes_on_once_its_database_is_back(
    own_postgres: PrivatePostgres, tmp_path: Path, crash: Callable[[PrivatePostgres], None]
) -> None:
    agent = ScriptedAgent("h1", whole_run(TRIALS))
    agent.holds = {30: asyncio.Event()}
    async with agent, Stand(tmp_path, own_postgres.create_database("d")) as stand:
        await stand.submit(agent)
        await stand.until_ready(10)
        crash(own_postgres)
        agent.holds[30].set()
        with pytest.raises(StoreError):
            await stand.store.find_run("r1")
        own_postgres.start()
        assert (await stand.ended()).state is RunState.FINISHED
        assert await stand.numbers() == list(range(TRIALS))
        assert not agent.cancelled.is_set()
