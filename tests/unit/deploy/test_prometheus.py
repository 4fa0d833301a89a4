"""What is shipped for Prometheus holds together, by promtool and by our own metrics."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tonnage.identity import METRICS_NAME

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "deploy/prometheus"
RULES = sorted((SHIPPED / "rules").glob("*.yml"))
TESTS = sorted((SHIPPED / "tests").glob("*.yml"))


def rules(kind: str) -> list[dict[str, Any]]:
    """Every rule of a kind, ``alert`` or ``record``."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


ALERTS = rules("alert")
RECORDED = {rule["record"] for rule in rules("record")}


def _promtool(promtool: str, *arguments: str | Path) -> str:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_configuration_as_it_is_installed(promtool: str, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    for name in ("tonnage.token", "tonnage-ca.pem"):
        (tmp_path / name).touch()
    said = _promtool(promtool, "check", "config", tmp_path / "prometheus.yml")
    assert f"{len(RULES)} rule files found" in said


def test_every_credential_is_shown_to_a_server_whose_name_is_verified() -> None:
    text = (SHIPPED / "prometheus.yml").read_text()
    assert text.count("authorization: {type: Bearer, credentials_file: tonnage.token}") == 3
    assert text.count(f"ca_file: tonnage-ca.pem, server_name: {METRICS_NAME}") == 3


def test_promtool_takes_the_rules(promtool: str) -> None:
    said = _promtool(promtool, "check", "rules", *RULES)
    found = [int(count) for count in re.findall(r"SUCCESS: (\d+) rules found", said)]
    assert sum(found) == len(ALERTS) + len(RECORDED)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_fire_and_are_silent_as_they_should(promtool: str, path: Path) -> None:
    _promtool(promtool, "test", "rules", path)


def _cases() -> Iterator[dict[str, Any]]:
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            yield from test.get("alert_rule_test", [])


@pytest.mark.parametrize("alert", [rule["alert"] for rule in ALERTS])
def test_every_alert_has_a_case_that_fires_and_one_that_is_silent(alert: str) -> None:
    outcomes = {bool(case["exp_alerts"]) for case in _cases() if case["alertname"] == alert}
    assert outcomes == {True, False}


def test_every_recorded_series_has_a_case_with_values() -> None:
    tested = {
        name
        for path in TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("promql_expr_test", [])
        if case["exp_samples"]
        for name in re.findall(r"host_runtime:[\w:]+", case["expr"])
    }
    assert tested >= RECORDED


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_it_means(rule: dict[str, Any]) -> None:
    assert rule["alert"].startswith("Tonnage")
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}


def test_a_rule_that_is_evaluated_rarely_is_never_without_a_value() -> None:
    """Prometheus takes a value for the present one for 5 min."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            most = 4 if any("record" in rule for rule in group["rules"]) else 5
            assert int(group.get("interval", "1m").removesuffix("m")) <= most
