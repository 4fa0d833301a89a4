"""Alerts and runbooks belong together: each has its section, and what it says is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.deploy.test_operations import ROOT, commands, takes
from tests.unit.deploy.test_prometheus import ALERTS, RECORDED
from tests.unit.deploy.test_prometheus_names import exposed, selectors

PATH = Path("docs/runbooks.md")
PAGE = (ROOT / PATH).read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PARTS = ["Means", "First look", "Likely causes", "Way out", "Silence"]


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert set(SECTIONS) == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("alert", SECTIONS)
def test_a_section_has_every_part_in_order(alert: str) -> None:
    assert re.findall(r"^\*\*([^*]+)\.\*\*", SECTIONS[alert], re.MULTILINE) == PARTS
    assert re.search(r"^```\n", SECTIONS[alert], re.MULTILINE)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_its_section(rule: dict[str, dict[str, str]]) -> None:
    assert rule["annotations"]["runbook"] == f"{PATH}#{str(rule['alert']).lower()}"


@pytest.mark.parametrize("words", [w for w in commands("tonnage", PAGE) if w], ids=" ".join)
def test_the_command_line_takes_it(words: list[str]) -> None:
    takes(words)


def test_what_is_to_be_asked_of_prometheus_is_there() -> None:
    asked = re.findall(r"^```promql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names = {name for block in asked for name, _ in selectors(block)}
    assert len(names) > 15
    assert names - exposed().keys() - RECORDED == set()


def test_other_alerts_that_are_spoken_of_exist() -> None:
    assert set(re.findall(r"\bTonnage[A-Z]\w+", PAGE)) <= set(SECTIONS)


def test_every_place_it_links_to_is_there() -> None:
    for page, anchor in re.findall(r"\]\((\w+\.md)(?:#([\w-]+))?\)", PAGE):
        text = (ROOT / "docs" / page).read_text()
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
        assert not anchor or anchor in slugs, anchor


def test_routing_speaks_of_alerts_and_labels_there_are() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert isinstance(yaml.safe_load(block)["inhibit_rules"], list)
    named = set(re.findall(r'alertname="(\w+)"', block))
    assert named
    assert named <= set(SECTIONS)
    numbers = {14: "Fourteen"}
    assert f"{numbers[len(ALERTS)]} alerts" in text
