"""Every panel says what it shows, in units, and what it says when there is nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.unit.dashboards.written import dashboards, every_panel, strings

SCHEMA = json.loads(Path("tests/fixtures/dashboard.schema.json").read_text())
BY_VARIABLE = {
    "prometheus": {"type": "prometheus", "uid": "${prometheus}"},
    "postgres": {"type": "grafana-postgresql-datasource", "uid": "${postgres}"},
}
NAMES = ("tonnage_", "host_runtime:", "ALERTS", "table ")
UNITS = {"s", "bytes", "percentunit", "none", "cps", "suffix:×", "dateTimeFromNow"}

EVERY = pytest.mark.parametrize(
    "panel", [each for _, each in every_panel()], ids=[name for name, _ in every_panel()]
)


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda each: each["uid"])
def test_a_dashboard_is_one_as_grafana_knows_them(dashboard: dict[str, Any]) -> None:
    jsonschema.validate(dashboard, SCHEMA, jsonschema.Draft202012Validator)


def test_the_schema_refuses_what_grafana_would_not_draw() -> None:
    checker = jsonschema.Draft202012Validator(SCHEMA)
    for spoil in ("uid", "panels", "templating", "time", "schemaVersion"):
        spoilt = {name: value for name, value in dashboards()[0].items() if name != spoil}
        assert not checker.is_valid(spoilt), spoil
    fixed = json.dumps(dashboards()[0]).replace("${prometheus}", "a1b2c3")
    assert not checker.is_valid(json.loads(fixed))


@EVERY
def test_a_panel_says_what_it_shows_and_whence(panel: dict[str, Any]) -> None:
    about = panel["description"]
    assert about.endswith(".")
    if panel["type"] != "text":
        assert len(about) > 60
        assert any(name in about for name in NAMES), about


@EVERY
def test_numbers_have_units_and_nothing_has_words(panel: dict[str, Any]) -> None:
    if panel["type"] == "text":
        return
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["noValue"]
    if panel["type"] != "table":
        assert defaults["unit"] in UNITS
        return
    units = [
        each["value"]
        for override in panel["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "unit"
    ]
    assert set(units) <= UNITS
    assert units


@EVERY
def test_lines_have_a_legend_to_read_figures_off(panel: dict[str, Any]) -> None:
    if panel["type"] == "timeseries":
        legend = panel["options"]["legend"]
        assert legend["displayMode"] == "table"
        assert "max" in legend["calcs"]


@EVERY
def test_shares_end_at_one_hundred_per_cent_or_say_why_not(panel: dict[str, Any]) -> None:
    """An axis of a share that ends elsewhere makes little look like much."""
    defaults = (panel.get("fieldConfig") or {}).get("defaults", {})
    open_ended = ("Agent's CPU", "Least headroom", "Headroom")
    if defaults.get("unit") == "percentunit" and panel["title"] not in open_ended:
        assert defaults["max"] == 1


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda each: each["uid"])
def test_no_data_source_is_named_but_by_its_variable(dashboard: dict[str, Any]) -> None:
    def references(value: Any) -> list[Any]:
        if isinstance(value, list):
            return [found for each in value for found in references(each)]
        if not isinstance(value, dict):
            return []
        own = [value["datasource"]] if "datasource" in value else []
        return own + [found for each in value.values() for found in references(each)]

    found = references(dashboard)
    assert len(found) > 20
    allowed = [BY_VARIABLE["prometheus"]]
    if dashboard["uid"] == "tonnage-run":
        allowed.append(BY_VARIABLE["postgres"])
    assert all(each in allowed for each in found)


def test_only_run_needs_postgresql_and_says_so() -> None:
    asking = [d["uid"] for d in dashboards() if any("${postgres}" in s for s in strings(d))]
    assert asking == ["tonnage-run"]
    (text,) = (p for name, p in every_panel() if p["type"] == "text")
    assert "needs PostgreSQL" in text["options"]["content"]


def test_estimates_from_buckets_are_called_estimates() -> None:
    estimated = 0
    for name, panel in every_panel():
        asked = " ".join(target.get("expr", "") for target in panel.get("targets", ()))
        if "histogram_quantile" in asked or "tonnage_start_seconds:" in asked:
            estimated += 1
            assert "(bucket estimate)" in panel["title"], name
        else:
            assert "bucket estimate" not in panel["title"], name
    assert estimated >= 4
