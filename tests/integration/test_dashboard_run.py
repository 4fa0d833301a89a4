"""The dashboard Run against a real PostgreSQL that a collector's store filled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from collector.dashboards import run, run_sql
from collector.dashboards.writing import texts
from collector.model import RunData
from collector.results.document import assemble
from collector.stores.open import open_store
from deploy.observe.dashboards import Dashboard
from deploy.observe.interpolation import Bound, sql
from deploy.observe.panels import Proof, prove
from deploy.observe.postgres import PostgreSQL
from deploy.observe.sources import Sources
from deploy.observe.times import Range
from deploy.postgres import PrivatePostgres
from tests.runs_kept import keep
from tests.unit.deploy.recorded import RecordedPrometheus
from tests.unit.reports.sample import START, as_server, sample_run
from tonnage.model import RunState

MINUTE_NS = 60 * 10**9
OTHER, THIS = "0199c0de-0000-7000-8000-000000000001", "0199c0de-0000-7000-8000-000000000002"
LOOKED_AT = Range(START / 1e9 - 600, START / 1e9 + 7200)
BOUND = {"run": THIS, "other": OTHER}
SEVERAL = {"host": ("h1", "h2"), "target": ("docker", "qemu-microvm")}


def _run(run_id: str, seed: int, later_ns: int) -> RunData:
    made = sample_run(("h1", "h2"), seed=seed, scale=3)
    return replace(
        made,
        run=replace(
            made.run,
            run_id=run_id,
            started_at_unix_ns=START + later_ns,
            finished_at_unix_ns=START + later_ns + 3 * MINUTE_NS,
        ),
        hosts=tuple(replace(each, run_id=run_id, state=RunState.PENDING) for each in made.hosts),
        trials=tuple(map(as_server, made.trials)),
    )


@pytest.fixture(scope="module")
def filled(postgres: PrivatePostgres) -> Iterator[PostgreSQL]:
    """A database with two runs of the same name on two hosts, which nobody changes."""
    url = postgres.create_database("dashboard_run")
    asyncio.run(_fill(url))
    yield PostgreSQL(url)
    postgres.drop_database("dashboard_run")


async def _fill(url: str) -> None:
    store = await open_store(url)
    try:
        await keep(store, _run(OTHER, 5, 0))
        await keep(store, _run(THIS, 7, 60 * MINUTE_NS))
    finally:
        await store.close()


def _of_sql() -> Dashboard:
    """Run as it is written, without what asks Prometheus: none is there."""
    (text,) = texts([run.dashboard()]).values()
    raw: dict[str, Any] = json.loads(text)
    of_sql = {"type": "grafana-postgresql-datasource", "uid": "${postgres}"}
    raw["panels"] = [each for each in raw["panels"] if each.get("datasource") == of_sql]
    raw["annotations"]["list"] = [
        each for each in raw["annotations"]["list"] if each["datasource"] == of_sql
    ]
    return Dashboard(raw)


async def _proofs(database: PostgreSQL) -> dict[str, Proof]:
    sources = Sources(RecordedPrometheus({}), database)
    found = await prove([_of_sql()], sources, LOOKED_AT)
    return {each.title: each for each in found if each.kind != "links"}


async def _rows(database: PostgreSQL, statement: str) -> list[dict[str, Any]]:
    scope = {name: Bound(name, (value,), (value,)) for name, value in BOUND.items()}
    scope |= {name: Bound(name, values, values, True) for name, values in SEVERAL.items()}
    sources = Sources(RecordedPrometheus({}), database)
    columns, rows = await database.run(sources.statement(statement, scope, LOOKED_AT, sql))
    return [dict(zip(columns, row, strict=True)) for row in rows]


async def test_every_panel_and_mark_finds_what_it_draws(filled: PostgreSQL) -> None:
    found = await _proofs(filled)
    assert {title: each.judgement.problem for title, each in found.items() if not each.ok} == {}
    assert len(found) >= 14


async def test_the_quantiles_are_those_of_the_report(filled: PostgreSQL) -> None:
    store = await open_store(filled.url)
    result = assemble(await store.load(THIS))
    await store.close()
    told = {
        (row.host, row.runtime, row.concurrency): row
        for row in result.startup
        if row.phase == "total"
    }
    shown = await _rows(filled, run_sql.OUTCOMES)
    assert len(shown) == len(told) > 3
    for row in shown:
        expected = told[row["host"], row["target"], row["concurrency"]]
        assert row["attempts"] == expected.requested
        assert row["ready"] == expected.ready
        for name in ("p50", "p95"):
            exact = getattr(expected, f"{name}_seconds")
            assert row[name] == (exact if exact is None else pytest.approx(exact))


async def test_phases_are_cut_as_those_of_the_report(filled: PostgreSQL) -> None:
    store = await open_store(filled.url)
    merged = assemble(await store.load(THIS)).merged
    await store.close()
    assert merged is not None
    told: dict[tuple[str, int, str], float | None] = {
        (row.runtime, row.concurrency, row.phase): row.p50_seconds for row in merged.startup
    }
    shown = await _rows(filled, run_sql.PHASES)
    for row in shown:
        target, _, level = str(row.pop("subject")).partition(" ×")
        for phase, median in row.items():
            exact = told.get((target, int(level), phase))
            assert median == (exact if exact is None else pytest.approx(exact)), (target, phase)
    assert {row["init"] is None for row in shown} == {True, False}


async def test_the_curve_is_short_climbs_and_ends_at_the_share_that_became_ready(
    filled: PostgreSQL,
) -> None:
    points = await _rows(filled, run_sql.ECDF)
    assert 100 < len(points) <= 2000
    attempts = await _rows(filled, run_sql.COMPARED)
    for each in attempts:
        series = f"{each['target']} ×{each['concurrency']}"
        curve = [(p["seconds"], p["share"]) for p in points if p["series"] == series]
        assert curve == sorted(curve)
        assert curve[-1][1] == pytest.approx(1 - each["not ready"] / each["attempts"])
    assert any(each["not ready"] for each in attempts)


async def test_a_long_run_is_thinned_to_what_a_panel_can_draw(
    filled: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = run_sql.ECDF.replace("/ 1900", "/ 19"), run_sql.TRIALS.replace("/ 1900", "/ 19")
    curve, trials = [await _rows(filled, statement) for statement in many]
    series = len({point["series"] for point in curve})
    assert len(curve) <= 20 + series
    slowest = max(row["value"] for row in await _rows(filled, run_sql.TRIALS))
    assert max(row["value"] for row in trials) == slowest
    assert len(trials) <= 120


async def test_the_run_before_of_the_same_name_is_what_is_compared_at_first(
    filled: PostgreSQL,
) -> None:
    others = await _rows(filled, run_sql.OTHERS)
    assert [each["__value"] for each in others] == [OTHER, "none"]


async def test_no_statement_must_read_a_whole_table_of_rows(filled: PostgreSQL) -> None:
    """Told to do without, PostgreSQL still reads a whole table where no index serves."""
    indexed, looked = PostgreSQL(f"{filled.url}?enable_seqscan=off"), 0
    for name, statement in vars(run_sql).items():
        if isinstance(statement, str) and name.isupper() and not name.startswith("_"):
            plan = str(await _rows(indexed, f"EXPLAIN {statement}"))
            assert "Seq Scan on trial" not in plan, name
            assert "Seq Scan on fact" not in plan, name
            looked += "trial_pkey" in plan or "fact_pkey" in plan
    assert looked >= 8
    assert "Seq Scan on trial" in str(await _rows(indexed, "EXPLAIN SELECT evidence FROM trial"))
