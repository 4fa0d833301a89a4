"""The panel prover finds what can be drawn, and fails on everything that cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from deploy.observe.panels import prove
from deploy.observe.sources import Sources
from tests.unit.deploy.recorded import (
    BY_SQL,
    BY_VARIABLE,
    LOOKED_AT,
    RecordedPostgres,
    RecordedPrometheus,
    dashboard,
    line,
    matrix,
    panel,
    proof,
    proofs,
    sample,
)

EMPTY = matrix()
TWO_LINES = matrix(line("1", "2", "3", host="h1"), line("4", "5", host="h2"))
VECTOR = matrix(sample("1", host="h1"), sample("0", host="h2"), kind="vector")
BUCKETS = matrix(line("1", "2", le="0.1"), line("1", "5", le="0.5"), line("1", "5", le="+Inf"))


async def test_a_time_series_tells_its_series_and_points() -> None:
    found = await proof(dashboard(panel("timeseries")), RecordedPrometheus({"up": TWO_LINES}))
    assert (found.ok, found.judgement.series, found.judgement.points) == (True, 2, 5)


async def test_a_table_tells_its_columns_and_rows() -> None:
    asked = panel("table", instant=True, format="table")
    found = await proof(dashboard(asked), RecordedPrometheus({"up": VECTOR}))
    assert (found.ok, found.judgement.series, found.judgement.points) == (True, 3, 2)


async def test_a_heat_map_counts_buckets_apart_and_not_below_one_another() -> None:
    asked = panel("heatmap", format="heatmap")
    found = await proof(dashboard(asked), RecordedPrometheus({"up": BUCKETS}))
    assert (found.ok, found.judgement.series, found.judgement.points) == (True, 2, 3)


@pytest.mark.parametrize(
    "kind",
    ["timeseries", "stat", "gauge", "bargauge", "table", "heatmap", "state-timeline", "xychart"],
)
async def test_an_empty_answer_fails_whatever_draws_it(kind: str) -> None:
    for asked in (panel(kind), panel(kind, instant=True, format="table")):
        found = await proof(dashboard(asked), RecordedPrometheus({"up": EMPTY}))
        assert not found.ok
        assert "nothing from up" in found.judgement.problem


@pytest.mark.parametrize(
    ("kind", "answer", "problem"),
    [
        ("timeseries", matrix(line("1")), "two points"),
        ("timeseries", matrix(line("NaN", "NaN", "NaN")), "two points"),
        ("stat", matrix(line("NaN", "+Inf")), "no number"),
        ("heatmap", matrix(line("1", "2", host="h1"), line("1", host="h2")), "no bucket"),
        ("heatmap", matrix(line("0", "0", le="0.1"), line("3", "4", le="1")), "1 buckets"),
        ("xychart", matrix(line("1")), "two rows"),
        ("gantt", TWO_LINES, "nobody here knows"),
    ],
)
async def test_data_of_a_shape_that_draws_nothing_fails(
    kind: str, answer: Any, problem: str
) -> None:
    form = "heatmap" if kind == "heatmap" else "time_series"
    found = await proof(dashboard(panel(kind, format=form)), RecordedPrometheus({"up": answer}))
    assert not found.ok
    assert problem in found.judgement.problem


async def test_a_table_alone_is_no_time_series() -> None:
    asked = {**panel("timeseries"), "datasource": BY_SQL, "targets": [{"rawSql": "select"}]}
    database = RecordedPostgres(["host", "value"], ["h1", 3])
    found = await proof(dashboard(asked), RecordedPrometheus({}), database)
    assert not found.ok
    assert "needs a column time" in found.judgement.problem


async def test_sql_with_times_and_texts_is_a_series_for_each_text() -> None:
    asked = {"type": "timeseries", "datasource": BY_SQL, "targets": [{"rawSql": "select 1"}]}
    at = datetime(2023, 11, 14, 22, 5, tzinfo=UTC)
    rows = [[at, "h1", Decimal("1.5")], [at, "h2", 2], [at, "h1", 3], [at, "h2", 4]]
    database = RecordedPostgres(["time", "host", "value"], *rows)
    found = await proof(dashboard(asked), RecordedPrometheus({}), database)
    assert (found.ok, found.judgement.series, found.judgement.points) == (True, 2, 4)


async def test_sql_points_need_two_numbers_beside_each_other() -> None:
    asked = {"type": "xychart", "datasource": BY_SQL}
    asks = [{"rawSql": "select 1", "format": "table"}]
    made = dashboard({**asked, "targets": asks})
    drawn = RecordedPostgres(["x", "y"], [1, 0.5], [2, 1.0])
    halved = RecordedPostgres(["x", "y"], [1, None], [2, 1.0])
    assert (await proof(made, RecordedPrometheus({}), drawn)).ok
    assert not (await proof(made, RecordedPrometheus({}), halved)).ok


async def test_a_query_that_is_refused_fails_with_the_server_s_words() -> None:
    found = await proof(dashboard(panel("stat", "sum(")), RecordedPrometheus({}))
    assert found.judgement.problem == "nothing recorded for sum("


async def test_a_data_source_by_name_and_not_by_variable_fails() -> None:
    asked = {**panel("stat"), "datasource": {"type": "prometheus", "uid": "abc"}}
    found = await proof(dashboard(asked), RecordedPrometheus({"up": VECTOR}))
    assert "variable of type data source" in found.judgement.problem


async def test_sql_fails_where_there_is_no_postgresql() -> None:
    asked = {"type": "stat", "datasource": BY_SQL, "targets": [{"rawSql": "select 1"}]}
    found = await proof(dashboard(asked), RecordedPrometheus({}))
    assert "needs PostgreSQL" in found.judgement.problem


async def test_a_variable_that_is_none_fails_instead_of_selecting_nothing() -> None:
    found = await proof(dashboard(panel("stat", 'up{host="$hosst"}')), RecordedPrometheus({}))
    assert "no variable is called hosst" in found.judgement.problem


async def test_a_panel_that_asks_nothing_fails() -> None:
    found = await proof(dashboard({"type": "stat"}), RecordedPrometheus({}))
    assert "asks nothing" in found.judgement.problem


async def test_a_text_without_text_fails() -> None:
    made = dashboard(
        {"type": "text", "options": {"content": "# Hello"}},
        {"type": "text", "options": {"content": "  "}},
    )
    assert [each.ok for each in await proofs(made, RecordedPrometheus({}))] == [True, False]


@pytest.mark.parametrize(("rules", "ok"), [([{"name": "A"}], True), ([], False)])
async def test_a_list_of_alerts_needs_rules(rules: list[Any], ok: bool) -> None:
    source = RecordedPrometheus({"rules": {"groups": [{"rules": rules}]}})
    assert (await proof(dashboard({"type": "alertlist"}), source)).ok is ok


async def test_panels_in_a_collapsed_row_are_proven_too() -> None:
    made = dashboard({"type": "row", "panels": [{"id": 9, "title": "in", **panel("stat")}]})
    found = await proof(made, RecordedPrometheus({"up": EMPTY}))
    assert (found.title, found.ok) == ("in", False)


async def test_a_panel_that_repeats_is_proven_for_each_value() -> None:
    variable = {"name": "host", "type": "custom", "query": "h1, h2", "multi": True}
    variable["includeAll"] = True
    repeated = {**panel("stat", 'up{host=~"$host"}'), "title": "On $host", "repeat": "host"}
    source = RecordedPrometheus({'up{host=~"h1"}': TWO_LINES, 'up{host=~"h2"}': EMPTY})
    found = await proofs(dashboard(repeated, variables=[variable]), source)
    assert [(each.title, each.ok) for each in found] == [("On h1", True), ("On h2", False)]


async def test_tables_joined_by_a_field_are_one_table() -> None:
    asked = panel("table", instant=True, format="table")
    asked["targets"].append({"refId": "B", "expr": "down", "instant": True, "format": "table"})
    asked["transformations"] = [{"id": "joinByField", "options": {"byField": "host"}}]
    made = dashboard(asked)
    source = RecordedPrometheus({"up": VECTOR, "down": VECTOR})
    found = await proof(made, source)
    assert (found.judgement.series, found.judgement.points) == (5, 2)


async def test_rows_parted_by_a_field_are_series_of_their_own() -> None:
    asked = {
        "type": "xychart",
        "datasource": BY_SQL,
        "targets": [{"rawSql": "select 1", "format": "table"}],
        "transformations": [{"id": "partitionByValues", "options": {"fields": ["runtime"]}}],
    }
    rows = [["docker", 1, 0.5], ["docker", 2, 1], ["qemu", 3, 0.5], ["qemu", 4, 1]]
    database = RecordedPostgres(["runtime", "x", "y"], *rows)
    found = await proof(dashboard(asked), RecordedPrometheus({}), database)
    assert (found.ok, found.judgement.series, found.judgement.points) == (True, 2, 4)


async def test_a_transformation_that_is_not_known_fails() -> None:
    asked = {**panel("table"), "transformations": [{"id": "magic"}]}
    found = await proof(dashboard(asked), RecordedPrometheus({"up": TWO_LINES}))
    assert "'magic' is not known" in found.judgement.problem


# Annotations and links


@pytest.mark.parametrize(("values", "ok"), [(("0", "1"), True), (("0", "0"), False)])
async def test_an_annotation_marks_points_above_zero(values: tuple[str, ...], ok: bool) -> None:
    runs = {"name": "Runs", "datasource": BY_VARIABLE, "expr": "runs", "enable": True}
    made = dashboard(annotations={"list": [runs, {"name": "own", "builtIn": 1}]})
    found = await proof(made, RecordedPrometheus({"runs": matrix(line(*values))}))
    assert (found.kind, found.ok) == ("annotation", ok)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/d/tonnage-made-up?var-host=${host}&${__url_time_range}", ""),
        ("/d/tonnage-lost", "no dashboard tonnage-lost"),
        ("/d/tonnage-made-up?var-hots=${host}", "no variable hots"),
        ("/d/tonnage-made-up?var-host=${hots}", "explains hots"),
        ("/d/tonnage-made-up?var-host=${__data.fields.host}", ""),
    ],
)
async def test_a_link_leads_to_a_dashboard_with_its_variables(url: str, problem: str) -> None:
    variable = {"name": "host", "type": "custom", "query": "h1"}
    made = dashboard(
        {"type": "text", "options": {"content": "x"}, "links": [{"url": url}]},
        variables=[variable],
    )
    found = await prove([made], Sources(RecordedPrometheus({})), LOOKED_AT)
    links = next(each for each in found if each.kind == "links")
    assert links.judgement.points == 1
    assert (problem in links.judgement.problem) if problem else links.ok


async def test_rows_parted_by_a_value_are_a_line_each() -> None:
    asked = {
        "type": "xychart",
        "datasource": BY_SQL,
        "targets": [{"refId": "A", "format": "table", "rawSql": "SELECT 1"}],
        "transformations": [{"id": "partitionByValues", "options": {"fields": ["series"]}}],
    }
    rows = (0.1, 0.5, "vm"), (0.2, 1.0, "vm"), (0.3, 0.5, "container"), (0.4, 1.0, "container")
    answer = RecordedPostgres(("seconds", "share", "series"), *rows)
    found = await proof(dashboard(asked), RecordedPrometheus({}), answer)
    assert (found.ok, found.judgement.series, found.judgement.points) == (True, 2, 4)
