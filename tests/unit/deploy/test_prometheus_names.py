"""The rules speak of what is there: metrics, labels and values as the programs expose them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.unit.deploy.test_prometheus import ALERTS, RECORDED, TESTS, rules
from tonnage.model import Outcome, RunState, StopReason

EXPOSED = Path(__file__).parents[2] / "fixtures/metrics"
# What Prometheus itself adds: to a target, and of it.
TARGET_LABELS = {"job", "instance", "host"}
OF_PROMETHEUS = {"up"}
VALUES: dict[str, set[str]] = {
    "reason": set(StopReason),
    "outcome": set(Outcome),
    "mode": {"cold", "warm", "restore"},
}
RUN_STATES: set[str] = set(RunState)


def exposed() -> dict[str, set[str]]:
    """The labels of every series that agent and collector expose, by name."""
    found: dict[str, set[str]] = {}
    for path in EXPOSED.glob("*.prom"):
        for line in path.read_text().splitlines():
            if not line.startswith("#"):
                name, _, rest = line.partition("{")
                labels = re.findall(r'(\w+)="', rest)
                found.setdefault(name.split(" ")[0], set()).update(labels)
    return found


def selectors(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each series that a PromQL expression reads: its name, and its matchers' values."""
    for name, matchers in re.findall(
        r"\b((?:host_runtime:)?tonnage_[\w:]+|up)\b(?:\{([^}]*)\})?", expression
    ):
        yield name, dict(re.findall(r'(\w+)[=!]~?"([^"]*)"', matchers))


def test_what_the_rules_read_is_exposed_with_those_labels() -> None:
    real = exposed()
    read = [each for rule in (*ALERTS, *rules("record")) for each in selectors(rule["expr"])]
    assert {name for name, _ in read} - real.keys() - RECORDED - OF_PROMETHEUS == set()
    for name, matchers in read:
        known = real.get(name, set()) | TARGET_LABELS
        if name not in RECORDED:
            assert matchers.keys() <= known | {"le"}, name


def test_values_that_rules_look_for_are_values_there_are() -> None:
    looked = 0
    for rule in (*ALERTS, *rules("record")):
        for name, matchers in selectors(rule["expr"]):
            allowed = VALUES
            if name == "tonnage_collector_runs_ended_total":
                allowed = {"state": RUN_STATES}
            for label in matchers.keys() & allowed.keys():
                looked += 1
                assert set(matchers[label].split("|")) <= allowed[label], name
    assert looked > 5


def test_series_made_up_for_tests_have_the_labels_that_real_ones_have() -> None:
    real, seen = exposed(), set()
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for given in test["input_series"]:
                ((name, _),) = selectors(given["series"])
                labels = set(re.findall(r'(\w+)="', given["series"]))
                if name in real and name not in OF_PROMETHEUS:
                    seen.add(name)
                    own = {"host"} if 'job="tonnage-agent"' in given["series"] else set()
                    assert labels == real[name] | own | {"job", "instance"}, name
    assert len(seen) > 10
