"""Results are computed once, kept, and told with what became of their trials."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import StoreError
from collector.metrics import Metrics
from collector.model import KeptResult
from collector.results import assemble
from collector.server import outcomes as module
from collector.server.outcomes import Outcomes
from collector.server.publisher import Publisher
from collector.stores.base import Store
from collector.stores.open import open_store
from tests.runs_made_up import EPOCH_NS, host_run, numbered, run, trial, whole_run
from tonnage import __version__
from tonnage.model import RunState

_END = EPOCH_NS + 10**9


async def _end(store: Store, run_id: str = "r1", state: RunState = RunState.FINISHED) -> None:
    await store.set_run_state(run_id, state, finished_at_unix_ns=_END, problem=None)


async def _kept(store: Store, run_id: str = "r1") -> KeptResult:
    found = await store.kept_result(run_id)
    assert found is not None
    return found


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with the run r1, all of whose events are stored, but not yet its end."""
    opened = await open_store(str(tmp_path))
    await opened.create_run(run(), [host_run()])
    await opened.append("r1", "h1", whole_run(20))
    yield opened
    await opened.close()


@pytest.fixture
def computations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that were computed, as they are."""
    seen: list[str] = []

    def noted(data: object) -> object:
        seen.append(data.run.run_id)  # type: ignore[attr-defined]
        return assemble(data)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_assemble", noted)
    return seen


async def test_the_result_of_an_ended_run_is_computed_once_whoever_asks(
    store: Store, computations: list[str]
) -> None:
    await _end(store)
    first = await Outcomes(store).result("r1")
    assert await Outcomes(store).result("r1") == first  # another collector, or this one later
    assert computations == ["r1"]
    assert (await _kept(store)).version == __version__


async def test_the_result_of_a_run_that_goes_on_is_not_kept(
    store: Store, computations: list[str]
) -> None:
    outcomes = Outcomes(store)
    await outcomes.result("r1")
    await outcomes.result("r1")
    assert computations == ["r1", "r1"]
    assert await store.kept_result("r1") is None


async def test_rows_that_come_after_the_end_are_in_the_next_answer(store: Store) -> None:
    await _end(store, state=RunState.PARTIAL)
    outcomes = Outcomes(store)
    before = (await outcomes.result("r1")).startup[0].requested
    await store.append("r1", "h1", numbered([trial(21)], len(whole_run(20)) + 1))
    assert (await outcomes.result("r1")).startup[0].requested == before + 1


async def test_what_another_version_kept_is_computed_anew(
    store: Store, computations: list[str]
) -> None:
    await _end(store)
    outcomes = Outcomes(store)
    await outcomes.result("r1")
    await store.keep_result(replace(await _kept(store), version="0.0.1", result_json="{}"))
    await outcomes.result("r1")
    assert computations == ["r1", "r1"]
    assert (await _kept(store)).version == __version__


async def test_without_its_trials_a_run_shows_the_same_figures_and_says_so(store: Store) -> None:
    await _end(store)
    outcomes = Outcomes(store)
    before = await outcomes.result("r1")
    await store.remove_raw("r1", _END + 1)
    after = await outcomes.result("r1")
    assert (after.startup, after.hosts) == (before.startup, before.hosts)
    assert before.run.trials_removed_at is None
    assert after.run.trials_removed_at is not None
    assert "trials of this run were removed" in after.warnings[0]
    assert after.warnings[1:] == before.warnings


async def test_a_kept_result_that_cannot_be_read_is_told_with_its_version(store: Store) -> None:
    await _end(store)
    outcomes = Outcomes(store)
    await outcomes.result("r1")
    await store.keep_result(replace(await _kept(store), version="9.9.9", result_json="{}"))
    await store.remove_raw("r1", _END + 1)
    with pytest.raises(StoreError, match=r"9\.9\.9"):
        await outcomes.result("r1")


@pytest.mark.parametrize("state", [RunState.FINISHED, RunState.PARTIAL, RunState.CANCELLED])
async def test_a_result_is_kept_however_a_run_ends(store: Store, state: RunState) -> None:
    await _end(store, state=state)
    publisher = Publisher(Metrics("0", "0"), store, Outcomes(store))
    publisher.ended("r1", state)
    await _until_kept(publisher, store)


async def test_what_no_collector_computed_is_computed_after_the_next_start(store: Store) -> None:
    await _end(store, state=RunState.PARTIAL)
    await _until_kept(Publisher(Metrics("0", "0"), store, Outcomes(store)), store)


async def _until_kept(publisher: Publisher, store: Store) -> None:
    async with asyncio.timeout(20):
        standing = asyncio.create_task(publisher.run())
        while await store.without_result(1):  # noqa: ASYNC110 (a store has no event for us)
            await asyncio.sleep(0.01)
        standing.cancel()
        await asyncio.gather(standing, return_exceptions=True)
