"""What is proven of the rules: by Prometheus at work, and by promtool's series."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.commands import CommandFailed, run
from deploy.observe.configuration import rules
from deploy.observe.prometheus import Prometheus
from deploy.observe.servers import tool
from deploy.observe.stack import SHIPPED, Stack

_RELOAD_SECONDS = 30.0
_LOOK_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Alert:
    """One that fires. Another host's of the same name is another."""

    name: str
    labels: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Alert:
        """As Prometheus tells of it."""
        return cls(labels["alertname"], frozenset(labels.items()))


def alerts() -> list[str]:
    """The names of the shipped alerts."""
    return list(dict.fromkeys(r["alert"] for r in rules(SHIPPED / "rules") if "alert" in r))


def records() -> list[str]:
    """The names of the shipped recording rules."""
    return list(dict.fromkeys(r["record"] for r in rules(SHIPPED / "rules") if "record" in r))


async def series_of(prometheus: Prometheus, record: str, at: float) -> int:
    """How many series a recording rule has given lately."""
    found = await prometheus.instant(f"last_over_time({record}[10m])", at)
    return len(found)


async def unhealthy(prometheus: Prometheus) -> list[str]:
    """The rules that Prometheus could not evaluate, with its words."""
    groups = (await prometheus.api("rules", True))["groups"]
    return [
        f"{rule['name']}: {rule.get('lastError')}"
        for group in groups
        for rule in group["rules"]
        if rule["health"] != "ok"
    ]


async def firing(prometheus: Prometheus) -> set[Alert]:
    """The alerts that fire now, each of what it is about."""
    found = (await prometheus.api("alerts", True))["alerts"]
    return {Alert.of(each["labels"]) for each in found if each["state"] == "firing"}


async def hurry(made: Stack) -> None:
    """Let every alert fire as soon as its condition holds; see ``copy_rules``."""
    made.configure_prometheus(hurried=True)
    os.kill(made.prometheus.pid, signal.SIGHUP)
    prometheus = made.sources.prometheus
    async with asyncio.timeout(_RELOAD_SECONDS):
        while True:
            if not any(await _durations(prometheus)):
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def _durations(prometheus: Prometheus) -> list[float]:
    groups = (await prometheus.api("rules", True, type="alert"))["groups"]
    return [rule["duration"] for group in groups for rule in group["rules"]]


async def promtool_says() -> str:
    """What is wrong with the shipped rules by promtool's tests; empty when nothing is."""
    tests = sorted((SHIPPED / "tests").glob("*.yml"))
    try:
        await run([tool("promtool"), "test", "rules", *map(str, tests)])
    except CommandFailed as error:
        return str(error)
    return "" if tests else "there are no tests"


def cases(alert: str) -> tuple[int, int]:
    """In how many of promtool's cases an alert must fire, and in how many it must be silent."""
    expected = [bool(case.get("exp_alerts")) for case in _cases() if case["alertname"] == alert]
    return sum(expected), len(expected) - sum(expected)


def _cases() -> Iterator[dict[str, Any]]:
    for path in sorted(Path(SHIPPED / "tests").glob("*.yml")):
        for test in yaml.safe_load(path.read_text())["tests"]:
            yield from test.get("alert_rule_test") or []
