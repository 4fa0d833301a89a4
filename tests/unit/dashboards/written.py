"""The dashboards as they would be written now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from collector.dashboards.catalogue import every_dashboard
from collector.dashboards.writing import texts


@cache
def files() -> dict[str, str]:
    """Each file's name with what belongs into it."""
    return texts(every_dashboard())


def dashboards() -> list[dict[str, Any]]:
    """Each as Grafana reads it."""
    return [json.loads(text) for text in files().values()]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that draw something: rows are headings."""
    return [each for each in dashboard["panels"] if each["type"] != "row"]


def every_panel() -> list[tuple[str, dict[str, Any]]]:
    """Each panel, with a name for the test."""
    return [
        (f"{dashboard['uid']}: {panel['title']}", panel)
        for dashboard in dashboards()
        for panel in panels(dashboard)
    ]


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    """Every PromQL expression: of panels and of annotations."""
    for panel in panels(dashboard):
        yield from (target["expr"] for target in panel.get("targets", ()) if "expr" in target)
    for mark in dashboard["annotations"]["list"]:
        if "expr" in mark:
            yield mark["expr"]


def strings(value: Any) -> Iterator[str]:
    """Every text anywhere in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
