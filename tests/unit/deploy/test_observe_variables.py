"""Variables, built-ins and macros come out as Grafana puts them in."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.observe.interpolation import (
    Bound,
    CannotInterpolate,
    Format,
    interpolate,
    plain,
    prometheus,
    sql,
)
from deploy.observe.macros import BadMacro, expand
from deploy.observe.prometheus import QueryFailed
from deploy.observe.sources import Sources
from deploy.observe.times import Range
from deploy.observe.variables import resolve
from tests.unit.deploy.recorded import (
    BY_SQL,
    BY_VARIABLE,
    LOOKED_AT,
    RecordedPostgres,
    RecordedPrometheus,
    dashboard,
    matrix,
    sample,
)

MANY = Bound("v", ("a.b", "c'd"), several=True)
ONE = Bound("v", ("it's",))
ALL = Bound("v", ("a", "b"), several=True, verbatim=".*")


@pytest.mark.parametrize(
    ("bound", "default", "expected"),
    [
        (MANY, prometheus, r"(a\\.b|c\\'d)"),
        (Bound("v", ("a.b",), several=True), prometheus, r"a\\.b"),
        (ONE, prometheus, r"it\'s"),
        (ALL, prometheus, ".*"),
        (MANY, sql, "'a.b','c''d'"),
        (ONE, sql, "it''s"),
        (ALL, sql, ".*"),
        (MANY, plain, "{a.b,c'd}"),
    ],
)
def test_each_data_source_quotes_as_it_does(bound: Bound, default: Format, expected: str) -> None:
    assert interpolate("$v", {"v": bound}, default) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${v:csv}", "a.b,c'd"),
        ("${v:pipe}", "a.b|c'd"),
        ("${v:regex}", r"(a\.b|c'd)"),
        ("${v:singlequote}", r"'a.b','c\'d'"),
        ("${v:sqlstring}", "'a.b','c''d'"),
        ("${v:doublequote}", '"a.b","c\'d"'),
        ("${v:json}", '["a.b", "c\'d"]'),
        ("${v:queryparam}", "var-v=a.b&var-v=c%27d"),
        ("${v:text}", "a.b + c'd"),
        ("[[v:csv]]", "a.b,c'd"),
        ("$vv ${w} $1", "$vv ${w} $1"),
    ],
)
def test_a_format_is_taken_when_asked_for(text: str, expected: str) -> None:
    assert interpolate(text, {"v": MANY}, prometheus) == expected


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(CannotInterpolate, match="asks for a format"):
        interpolate("${v:sparkles}", {"v": MANY}, prometheus)


def test_built_in_variables_follow_range_width_and_scrapes() -> None:
    seen = Range(1_700_000_000.0, 1_700_000_900.0, scrape_seconds=2.0)
    found = seen.variables(seen.interval(840))
    text = "$__interval ${__interval_ms} $__range ${__range_s} $__rate_interval"
    assert interpolate(text, found, prometheus) == "2s 2000 900s 900 8s"
    dates = "${__from} ${__to:date:seconds} ${__from:date}"
    expected = "1700000000000 1700000900 2023-11-14T22:13:20.000Z"
    assert interpolate(dates, found, prometheus) == expected


@pytest.mark.parametrize(
    ("length", "points", "interval"),
    [(3600, 840, 15), (6 * 3600, 840, 30), (86_400, 840, 120), (7 * 86_400, 840, 600)],
)
def test_the_interval_is_rounded_as_grafana_rounds_it(
    length: float, points: int, interval: float
) -> None:
    assert Range(0, length).interval(points) == interval


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("$__timeFrom()", "'2023-11-14T22:00:00.000Z'"),
        (
            "$__timeFilter(t.at)",
            "t.at BETWEEN '2023-11-14T22:00:00.000Z' AND '2023-11-14T22:15:00.000Z'",
        ),
        ("$__unixEpochFilter(at)", "at >= 1699999200 AND at <= 1700000100"),
        (
            "$__unixEpochNanoFilter(at)",
            "at >= 1699999200000000000 AND at <= 1700000100000000000",
        ),
        ("$__timeGroup(at, '5m')", "floor(extract(epoch from at)/300)*300"),
        ("$__timeGroupAlias(at,'1h')", 'floor(extract(epoch from at)/3600)*3600 AS "time"'),
        ("$__unixEpochGroup(at, 15s)", "floor((at)/15)*15"),
        ("$__time(at)", 'at AS "time"'),
    ],
)
def test_macros_are_written_out(macro: str, expected: str) -> None:
    assert expand(f"select {macro} x", LOOKED_AT) == f"select {expected} x"


@pytest.mark.parametrize("macro", ["$__timeFiltr(at)", "$__timeFilter()", "$__timeGroup(at)"])
def test_a_macro_that_is_none_or_lacks_something_is_refused(macro: str) -> None:
    with pytest.raises(BadMacro, match=r"\$__time"):
        expand(macro, LOOKED_AT)


# Resolving


def host(**more: Any) -> dict[str, Any]:
    query = {"query": "label_values(up, host)", "refId": "host"}
    return {"name": "host", "type": "query", "datasource": BY_VARIABLE, "query": query, **more}


HOSTS = RecordedPrometheus({"label/host/values": ["h2", "h1", "h10"]})


@pytest.mark.parametrize(
    ("more", "values"),
    [
        ({}, ("h2",)),
        ({"sort": 1}, ("h1",)),
        ({"current": {"value": "h10"}}, ("h10",)),
        ({"current": {"value": "gone"}}, ("h2",)),
        ({"multi": True, "includeAll": True, "sort": 3}, ("h1", "h2", "h10")),
        ({"includeAll": True, "current": {"value": "$__all"}}, ("h2", "h1", "h10")),
        ({"multi": True, "current": {"value": ["h1", "h10"]}}, ("h1", "h10")),
        ({"includeAll": True, "regex": "/^h1/"}, ("h1", "h10")),
        ({"includeAll": True, "regex": "/h(?<value>.*)/"}, ("2", "1", "10")),
    ],
)
async def test_what_is_chosen_before_anybody_chooses(
    more: dict[str, Any], values: tuple[str, ...]
) -> None:
    scope = await resolve(dashboard(variables=[host(**more)]), Sources(HOSTS), LOOKED_AT)
    assert scope["host"].values == values


async def test_a_custom_value_for_all_goes_in_as_it_is() -> None:
    made = dashboard(variables=[host(includeAll=True, allValue=".+")])
    scope = await resolve(made, Sources(HOSTS), LOOKED_AT)
    assert interpolate('{host=~"$host"}', scope, prometheus) == '{host=~".+"}'


async def test_a_later_variable_sees_the_ones_before() -> None:
    query = 'label_values(x{host=~"$host"}, runtime)'
    answers = {"label/host/values": ["h1", "h2"], "label/runtime/values": ["docker"]}
    source = RecordedPrometheus(answers)
    runtime = {**host(), "name": "runtime", "query": query}
    made = dashboard(variables=[host(includeAll=True), runtime])
    await resolve(made, Sources(source), LOOKED_AT)
    assert source.asked[-1][1]["match[]"] == 'x{host=~"(h1|h2)"}'


async def test_query_result_is_taken_apart_by_its_expression() -> None:
    asked = host(query="query_result(topk(1, up))", regex='/host="([^"]+)"/')
    source = RecordedPrometheus({"topk(1, up)": matrix(sample("1", host="h7"), kind="vector")})
    scope = await resolve(dashboard(variables=[asked]), Sources(source), LOOKED_AT)
    assert scope["host"].values == ("h7",)


async def test_sql_gives_texts_beside_values() -> None:
    run = {"name": "run", "type": "query", "datasource": BY_SQL, "query": "select 1"}
    database = RecordedPostgres(["__text", "__value"], ["quick", "01J"], ["slow", "01K"])
    made = dashboard(variables=[run])
    scope = await resolve(made, Sources(RecordedPrometheus({}), database), LOOKED_AT)
    assert (scope["run"].texts, scope["run"].values) == (("quick",), ("01J",))


@pytest.mark.parametrize("query", ["label_values(up, host)", "hosts()"])
async def test_a_variable_with_nothing_to_choose_from_fails_with_its_name(query: str) -> None:
    made = dashboard(variables=[host(query=query)])
    source = RecordedPrometheus({"label/host/values": []})
    with pytest.raises(QueryFailed, match="variable host"):
        await resolve(made, Sources(source), LOOKED_AT)
