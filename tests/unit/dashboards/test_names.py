"""What dashboards name exists: variables, dashboards, metrics, labels."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.observe.dashboards import Dashboard
from deploy.observe.interpolation import names
from deploy.observe.linking import problems
from tests.unit.dashboards.written import dashboards, expressions, strings
from tests.unit.deploy.test_prometheus import RECORDED
from tests.unit.deploy.test_prometheus_names import exposed, selectors

# Made by Grafana itself, and by Prometheus.
GRAFANAS = re.compile(r"__\w+")
TARGET_LABELS = {"job", "instance", "host"}
OF_RECORDED = {"runtime", "accelerator", "mode"}

EACH = pytest.mark.parametrize("dashboard", dashboards(), ids=lambda each: each["uid"])


def _used(dashboard: dict[str, Any]) -> set[str]:
    """The variables that occur outside their own definition."""
    variables = dashboard["templating"]["list"]
    asked = [
        str(each[part]) for each in variables for part in ("query", "datasource") if part in each
    ]
    rest = {name: value for name, value in dashboard.items() if name != "templating"}
    texts = [*asked, *strings(rest)]
    return {name for text in texts for name in names(text) if not GRAFANAS.fullmatch(name)}


@EACH
def test_every_variable_that_is_used_is_there_and_every_one_there_is_used(
    dashboard: dict[str, Any],
) -> None:
    there = {each["name"] for each in dashboard["templating"]["list"]}
    assert _used(dashboard) == there
    assert "prometheus" in there


@EACH
def test_every_link_leads_to_a_dashboard_with_those_variables(dashboard: dict[str, Any]) -> None:
    every = [Dashboard(each) for each in dashboards()]
    here = Dashboard(dashboard)
    assert problems(here, every) == []
    assert [each["tags"] for each in here.links] == [["tonnage"]]
    assert dashboard["tags"] == ["tonnage"]
    assert here.links[0]["includeVars"]
    assert here.links[0]["keepTime"]


def test_rows_of_hosts_lead_to_the_host_and_rows_of_runs_to_the_run() -> None:
    urls = [text for each in dashboards() for text in strings(each) if text.startswith("/d/")]
    assert sum(url.startswith("/d/tonnage-host?var-host=") for url in urls) > 10
    assert sum(url.startswith("/d/tonnage-run?var-run=") for url in urls) >= 1


@EACH
def test_every_expression_is_promql(
    dashboard: dict[str, Any], promtool: str, tmp_path: Path
) -> None:
    rules = [
        {"record": f"parsed:{at}", "expr": _filled(each)}
        for at, each in enumerate(expressions(dashboard))
    ]
    assert rules
    written = tmp_path / "rules.yml"
    written.write_text(yaml.safe_dump({"groups": [{"name": "parsed", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", written], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def _filled(expression: str) -> str:
    """With everything in place of which Grafana puts a duration, a name or a pattern."""
    for name, value in (("__rate_interval", "1m"), ("__range", "6h"), ("__interval", "15s")):
        expression = expression.replace(f"${name}", value)
    return re.sub(r"\$\{?\w+\}?", "p95", expression)


@EACH
def test_metrics_are_ones_that_programs_expose_or_rules_record(dashboard: dict[str, Any]) -> None:
    known = exposed()
    asked = [*expressions(dashboard), *_of_variables(dashboard)]
    read = [each for expression in asked for each in selectors(_filled(expression))]
    assert {name for name, _ in read} - known.keys() - RECORDED == set()
    for name, matchers in read:
        labels = OF_RECORDED if name in RECORDED else known[name]
        assert matchers.keys() <= labels | TARGET_LABELS | {"le"}, name


def _of_variables(dashboard: dict[str, Any]) -> list[str]:
    asked = (str(each["query"]) for each in dashboard["templating"]["list"])
    return [each for each in asked if each.startswith("label_values(")]


@EACH
def test_alerts_and_runs_are_marked_on_every_time_axis(dashboard: dict[str, Any]) -> None:
    marks = {each["name"]: each for each in dashboard["annotations"]["list"]}
    assert {"Alerts", "Runs"} <= marks.keys()
    assert all(each["enable"] for each in marks.values())
    # Those without a host are about the collector, and concern who looks at any host.
    assert marks["Alerts"]["expr"].endswith('host=~"$host|"}')
