"""The end of raw rows, by age and by command, over a collector that serves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.cli.app import app
from collector.cli.main import guarded
from collector.errors import WrongState
from collector.model import AuditFilter
from collector.server.audit import AuditLog
from collector.server.outcomes import Outcomes
from collector.server.retention import Retention
from collector.stores.base import Store
from collector.stores.open import open_store
from tests.integration.servers import collector
from tests.runs_made_up import EPOCH_NS, host_run, numbered, run, trial, whole_run
from tonnage.model import RunState

DAY_NS = 86_400 * 10**9


async def _ended(store: Store, run_id: str, days_ago: float, trials: int = 30) -> None:
    began = time.time_ns() - int(days_ago * DAY_NS) - 10**9
    await store.create_run(
        run(run_id, request_token=run_id, started_at_unix_ns=began), [host_run(run_id)]
    )
    await store.append(run_id, "h1", whole_run(trials))
    await store.set_run_state(
        run_id, RunState.FINISHED, finished_at_unix_ns=began + 10**9, problem=None
    )


async def _trials(store: Store, run_id: str) -> int:
    return len((await store.load(run_id)).trials)


async def test_only_trials_past_their_age_go_and_each_is_audited(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path))
    try:
        await _ended(store, "old", 91)
        await _ended(store, "young", 89)
        async with AuditLog(store) as audit:
            await Retention(store, Outcomes(store), audit, days=90).sweep()
        assert [await _trials(store, each) for each in ("old", "young")] == [0, 30]
        assert await store.kept_result("old") is not None
        (entry,) = await store.audit(10, AuditFilter(command="PruneRun"))
        assert (entry.role, entry.name, entry.subject) == ("collector", "retention", "old")
        assert "30 trials, older than 90 days" in entry.reason
    finally:
        await store.close()


async def test_without_an_age_nothing_goes_but_what_was_left_over(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path))
    try:
        await _ended(store, "old", 5000)
        await _ended(store, "pruned", 5000)
        outcomes = Outcomes(store)
        retention = Retention(store, outcomes, AuditLog(store), days=0)
        await retention.prune("pruned")
        await store.append("pruned", "h1", numbered([trial(31)], len(whole_run(30)) + 1))
        assert await store.half_removed() == ("pruned",)
        await retention.sweep()
        assert await store.half_removed() == ()
        assert await _trials(store, "old") == 30
    finally:
        await store.close()


async def test_a_run_that_goes_on_keeps_its_trials(tmp_path: Path) -> None:
    store = await open_store(str(tmp_path))
    try:
        await store.create_run(run(), [host_run()])
        await store.append("r1", "h1", numbered([trial(0)]))
        with pytest.raises(WrongState, match="goes on"):
            await Retention(store, Outcomes(store), AuditLog(store), days=1).prune("r1")
        assert await _trials(store, "r1") == 1
    finally:
        await store.close()


async def test_a_run_whose_result_cannot_be_computed_keeps_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(str(tmp_path))
    outcomes = Outcomes(store)

    async def fails(run_id: str) -> None:
        raise ZeroDivisionError(run_id)

    monkeypatch.setattr(outcomes, "result", fails)
    try:
        await _ended(store, "old", 91)
        await Retention(store, outcomes, AuditLog(store), days=90).sweep()
        assert await _trials(store, "old") == 30
    finally:
        await store.close()


async def _fill(place: str) -> None:
    store = await open_store(place)
    try:
        await _ended(store, "done", 100)
        await _ended(store, "fresh", 1)
        await store.create_run(run("on", started_at_unix_ns=EPOCH_NS), [host_run("on")])
    finally:
        await store.close()


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def tonnage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    """The command, in this process, against a collector with three runs."""
    asyncio.run(_fill(str(tmp_path / "store")))

    def done(*words: str) -> Done:
        capsys.readouterr()
        code = guarded(lambda: app(words, prog_name="tonnage"))
        told = capsys.readouterr()
        return Done(code, told.out, told.err)

    with collector(tmp_path) as server:
        monkeypatch.setenv("TONNAGE_COLLECTOR", server.address)
        yield done


def test_an_operator_removes_trials_and_is_refused_those_of_a_run_that_goes_on(
    tonnage: Callable[..., Done],
) -> None:
    refused = tonnage("prune", "on", "--yes")
    assert (refused.code, "goes on" in refused.err) == (2, True)
    unasked = tonnage("prune", "done")
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    old = tonnage("prune", "--older-than", "90d", "--yes", "--output", "json")
    assert old.code == 0, old.err
    assert [(each["run_id"], each["trials"]) for each in json.loads(old.out)] == [("done", 30)]
    mixed = tonnage("prune", "fresh", "on", "-y")
    assert (mixed.code, "goes on" in mixed.err) == (5, True)
    audited = json.loads(tonnage("audit", "--command", "PruneRun", "-O", "json").out)
    assert [(each["subject"], each["outcome"]) for each in reversed(audited)] == [
        ("on", "FAILED_PRECONDITION"),
        ("done", "ok"),
        ("fresh", "ok"),
        ("on", "FAILED_PRECONDITION"),
    ]


def test_a_run_without_its_trials_says_what_is_kept_and_what_is_gone(
    tonnage: Callable[..., Done], tmp_path: Path
) -> None:
    before = json.loads(tonnage("show", "done", "--output", "json").out)
    assert tonnage("prune", "done", "-y").code == 0
    after = json.loads(tonnage("show", "done", "--output", "json").out)
    assert after["startup"] == before["startup"]
    assert after["run"]["trials_removed_at"]
    assert "trials of this run were removed" in tonnage("show", "done").out
    page = tmp_path / "report.html"
    assert tonnage("report", "done", "-o", str(page)).code == 0
    assert "trials of this run were removed" in page.read_text()
    nothing = tonnage("export", "done")
    assert (nothing.code, nothing.out) == (2, "")
    assert "were removed on" in nothing.err
    taken_up = tonnage("resume", "done")
    assert (taken_up.code, "were removed" in taken_up.err) == (2, True)
