"""The lesson's picture: the layers that one more instance stands on, side by side, to scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from markupsafe import Markup

from collector.reports.charts.scales import Linear
from collector.reports.charts.svg import NARROW, chart, element, line, path, text
from collector.reports.rows import Layer

_HEAD, _PLOT, _PLOT_NARROW, _SLAB, _GAP = 56.0, 300.0, 210.0, 30.0, 34.0
_LABEL = 33.0
"""Least distance of two labels: each is two lines."""
_THINNEST = 2.0
"""A layer that is there is seen, however thin it is to scale."""
_OUTLINED = 5.0
"""A thinner layer has no outline, which would hide it."""


@dataclass(frozen=True, slots=True)
class Box:
    """One layer. ``value`` is None for a layer that is not there: its name says so."""

    layer: Layer
    name: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Stack:
    """One subject's layers from the ground up, and the whole they make."""

    name: str
    whole: str
    boxes: Sequence[Box]

    @property
    def height(self) -> float:
        """All drawn layers together."""
        return sum(max(box.value or 0, 0) for box in self.boxes)


@dataclass(frozen=True, slots=True)
class Units:
    """How a figure is told, beside a layer and at the axis."""

    told: Callable[[float], str]
    short: Callable[[float], str]


def draw(
    stacks: Sequence[Stack], ground: Sequence[str], units: Units, width: int, label: str
) -> Markup:
    """The chart. ``ground`` is what all stacks share, from the top down: system, hardware."""
    most = 3 if width > NARROW else 1
    rows = max(1, ceil(len(stacks) / most))
    a_row = ceil(len(stacks) / rows)
    tallest = max((stack.height for stack in stacks), default=0) or 1.0
    plot = _PLOT if width > NARROW else _PLOT_NARROW
    each = _HEAD + plot + _SLAB * len(ground) + _GAP
    parts: list[Markup] = []
    for row in range(rows):
        floor = row * each + _HEAD + plot
        up = Linear(0, tallest, floor, floor - plot)
        parts += _row(stacks[row * a_row : (row + 1) * a_row], a_row, up, units, width)
        parts += _slabs(ground, floor, width)
    return chart(width, rows * each - _GAP + 4, label, parts)


def _row(
    stacks: Sequence[Stack], slots: int, up: Linear, units: Units, width: int
) -> Iterator[Markup]:
    left = 62.0 if width > NARROW else 44.0
    slot = (width - left) / slots
    for value in up.ticks(4):
        yield line(left, up(value), width, up(value), "grid")
        yield text(left - 8, up(value) + 4, units.short(value), "tick", "end")
    column = min(130.0, slot * 0.33)
    for place, stack in enumerate(stacks):
        yield from _stack(stack, left + place * slot + 10, column, up, units)


def _stack(stack: Stack, x: float, column: float, up: Linear, units: Units) -> Iterator[Markup]:
    top = up.end - _HEAD
    yield text(x, top + 18, stack.name, "stack")
    yield text(x, top + 36, stack.whole, "whole")
    labels: list[tuple[float, Box]] = []
    y = up.start
    for box in stack.boxes:
        thick = 0.0
        if box.value is not None and box.value > 0:
            thick = max(up(0) - up(box.value), _THINNEST)
            yield _layer(box, x, y - thick, column, thick, units)
        labels.append((y - thick / 2, box))
        y -= thick
    yield from _labels(labels, x + column, up, units)


def _layer(box: Box, x: float, y: float, column: float, thick: float, units: Units) -> Markup:
    title = element("title", f"{box.name}: {units.told(box.value or 0)}")
    kind = _kind(box) if thick > _OUTLINED else f"{_kind(box)} thin"
    return element("rect", title, x=x, y=y, width=column, height=thick, class_=kind)


def _kind(box: Box) -> str:
    return f"layer {box.layer.replace('_', '-')}"


def _labels(
    labels: Sequence[tuple[float, Box]], edge: float, up: Linear, units: Units
) -> Iterator[Markup]:
    """Each label beside its layer, pushed up where they would touch, on a thin line."""
    places = _apart([y for y, _ in labels], lowest=up.start - 19, highest=up.end - 8)
    for (middle, box), place in zip(labels, places, strict=True):
        x = edge + 38
        if box.value is None:
            yield text(x, place + 4, box.name, "absent")
            continue
        yield path([(edge + 1, middle), (edge + 9, middle), (x - 20, place)], "leader")
        yield element("rect", x=x - 17, y=place - 5, width=10, height=10, class_=_kind(box))
        yield text(x, place - 1, units.told(box.value), "amount")
        yield text(x, place + 13, box.name, "tick")


def _apart(wanted: Sequence[float], lowest: float, highest: float) -> list[float]:
    """Places near the wanted ones, from the bottom up, ``_LABEL`` apart and within bounds."""
    places: list[float] = []
    for y in wanted:
        places.append(min(y, lowest, *(place - _LABEL for place in places[-1:])))
    ceiling = highest
    for at in range(len(places) - 1, -1, -1):  # where they ran out at the top, push down again
        places[at] = max(places[at], ceiling)
        ceiling = places[at] + _LABEL
    return places


def _slabs(ground: Sequence[str], floor: float, width: int) -> Iterator[Markup]:
    left = 62.0 if width > NARROW else 44.0
    for depth, told in enumerate(ground):
        y = floor + depth * _SLAB
        yield element(
            "rect", x=left, y=y, width=width - left, height=_SLAB, class_=f"slab slab{depth}"
        )
        yield text(left + 10, y + 20, told, "slabtext")
