"""What a data source answers, in the shape that Grafana's visualisations read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["time", "number", "string", "boolean"]


@dataclass(frozen=True, slots=True)
class Field:
    """A column. Times are seconds after 1970; an absent value is ``None``."""

    name: str
    kind: Kind
    values: Sequence[object]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def filled(self) -> int:
        """How many values there are; NaN and infinity, which nothing draws, are none."""
        return sum(is_drawn(value) for value in self.values)


@dataclass(frozen=True, slots=True)
class Frame:
    """Columns of the same length, from one query. ``executed`` is that query, for messages."""

    ref: str
    fields: tuple[Field, ...]
    executed: str = ""

    @property
    def rows(self) -> int:
        """The length of its columns."""
        return len(self.fields[0].values) if self.fields else 0

    def of(self, *kinds: Kind) -> list[Field]:
        """The columns of these kinds, in order."""
        return [each for each in self.fields if each.kind in kinds]


def is_drawn(value: object) -> bool:
    """Whether there is something to draw."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def numbers(frames: Iterable[Frame]) -> list[Field]:
    """Every numeric column."""
    return [each for frame in frames for each in frame.of("number")]
