"""A dashboard put together: rows with a question each, panels side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardCursorSync,
    DashboardDashboardTemplating,
    DashboardDashboardTime,
    GridPos,
    Panel,
    RowPanel,
    VariableModel,
)

from collector.dashboards import links, marks

COLUMNS = 24
# Of Grafana 10.4: newer ones read older schemas, and not the other way round.
SCHEMA = 39


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side, of one height; each with its width of the 24."""

    height: int
    panels: Sequence[tuple[int, Panel]]


@dataclass(frozen=True, slots=True)
class Section:
    """A row: the question, and the lines that answer it."""

    question: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Opened:
    """How a dashboard is when it is opened."""

    since: str = "now-6h"
    refresh: str = "1m"


def page(
    uid: str,
    title: str,
    about: str,
    *,
    variables: Sequence[VariableModel],
    annotations: Sequence[AnnotationQuery],
    sections: Sequence[Section],
    opened: Opened = Opened(),
) -> Dashboard:
    """The whole dashboard. Raises ``ValueError`` where a line is not as wide as the page."""
    return Dashboard(
        uid=f"tonnage-{uid}",
        title=f"Tonnage: {title}",
        description=about,
        tags=[links.TAG],
        schema_version=SCHEMA,
        editable=True,
        graph_tooltip=DashboardCursorSync.CROSSHAIR,
        time=DashboardDashboardTime(from_val=opened.since, to="now"),
        refresh=opened.refresh,
        templating=DashboardDashboardTemplating(list_val=list(variables)),
        annotations=marks.of(*annotations),
        links=[links.others()],
        panels=_laid_out(sections),
    )


def _laid_out(sections: Sequence[Section]) -> list[Panel | RowPanel]:
    placed: list[Panel | RowPanel] = []
    top = 0
    for section in sections:
        placed.append(
            RowPanel(
                title=section.question,
                id_val=len(placed) + 1,
                grid_pos=GridPos(h=1, w=COLUMNS, x=0, y=top),
            )
        )
        top += 1
        for line in section.lines:
            _place(line, top, placed)
            top += line.height
    return placed


def _place(line: Line, top: int, placed: list[Panel | RowPanel]) -> None:
    if (width := sum(width for width, _ in line.panels)) != COLUMNS:
        raise ValueError(f"a line is {width} wide, not {COLUMNS}: {line.panels[0][1].title}")
    left = 0
    for width, panel in line.panels:
        panel.id_val = len(placed) + 1
        panel.grid_pos = GridPos(h=line.height, w=width, x=left, y=top)
        placed.append(panel)
        left += width
