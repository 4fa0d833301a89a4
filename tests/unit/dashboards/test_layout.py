"""Panels have a place of their own on the page."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from collector.dashboards.page import COLUMNS, Line, Section, page
from collector.dashboards.panels import note
from tests.unit.dashboards.written import dashboards, panels

ALL = pytest.mark.parametrize("dashboard", dashboards(), ids=lambda each: each["uid"])


def _cells(panel: dict[str, Any]) -> tuple[range, range]:
    at = panel["gridPos"]
    return range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])


@ALL
def test_no_panel_lies_on_another(dashboard: dict[str, Any]) -> None:
    placed = dashboard["panels"]
    assert len(placed) > 5
    for one, other in combinations(placed, 2):
        (wide, high), (wide_too, high_too) = _cells(one), _cells(other)
        beside = wide.stop <= wide_too.start or wide_too.stop <= wide.start
        below = high.stop <= high_too.start or high_too.stop <= high.start
        assert beside or below, (one["title"], other["title"])


@ALL
def test_the_page_is_filled_from_edge_to_edge(dashboard: dict[str, Any]) -> None:
    """Without a hole: the panels take as much room as there is down to the lowest."""
    taken = sum(len(wide) * len(high) for wide, high in map(_cells, dashboard["panels"]))
    lowest = max(high.stop for _, high in map(_cells, dashboard["panels"]))
    assert all(wide.stop <= COLUMNS for wide, _ in map(_cells, dashboard["panels"]))
    assert taken == COLUMNS * lowest


@ALL
def test_ids_and_titles_are_of_one_panel_alone(dashboard: dict[str, Any]) -> None:
    ids = [each["id"] for each in dashboard["panels"]]
    titles = [each["title"] for each in panels(dashboard)]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)


@ALL
def test_each_row_asks_what_its_panels_answer(dashboard: dict[str, Any]) -> None:
    rows = [each["title"] for each in dashboard["panels"] if each["type"] == "row"]
    assert dashboard["panels"][0]["type"] == "row"
    assert len(set(rows)) == len(rows) >= 3
    assert all(title.endswith("?") for title in rows)


@ALL
def test_few_panels_are_on_a_page(dashboard: dict[str, Any]) -> None:
    assert len(panels(dashboard)) <= 25


def test_dashboards_have_names_of_their_own() -> None:
    assert len({each["uid"] for each in dashboards()}) == len(dashboards()) == 6
    assert len({each["title"] for each in dashboards()}) == 6


def test_a_line_that_leaves_a_hole_is_refused() -> None:
    narrow = Section("?", [Line(4, [(23, note("a", "b", "c"))])])
    with pytest.raises(ValueError, match="23 wide"):
        page("x", "x", "x", variables=[], annotations=[], sections=[narrow])
