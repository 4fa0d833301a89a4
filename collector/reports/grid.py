"""Plain tables that line up and fit: for a terminal's width, or as wide as they are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

_GAPS = (2, 1)


@dataclass(frozen=True, slots=True)
class Column:
    """A column. Where room lacks, the highest ``spare`` is left out first; 0 stays."""

    name: str
    right: bool = False
    spare: int = 0


def right(*columns: str | tuple[str, int]) -> tuple[Column, ...]:
    """Columns of figures; a number beside a name is how spare it is."""
    pairs = [(column, 0) if isinstance(column, str) else column for column in columns]
    return tuple(Column(name, right=True, spare=spare) for name, spare in pairs)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of text."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def without(self, *names: str) -> Grid:
        """The same without these columns."""
        kept = [i for i, column in enumerate(self.columns) if column.name not in names]
        return replace(
            self,
            columns=tuple(self.columns[i] for i in kept),
            rows=tuple(tuple(row[i] for i in kept) for row in self.rows),
        )

    def fitted(self, width: int | None) -> tuple[Grid, int, list[str]]:
        """What fits ``width`` columns (None: everything), its gap, and what was left out."""
        grid, dropped = self, list[str]()
        while True:
            for gap in _GAPS:
                if width is None or _total(grid.widths(), gap) <= width:
                    return grid, gap, dropped
            spare = max(grid.columns, key=lambda column: column.spare)
            if not spare.spare:
                return grid, _GAPS[-1], dropped
            dropped.append(spare.name)
            grid = grid.without(spare.name)

    def widths(self) -> list[int]:
        """What each column needs."""
        return [
            max(len(cell) for cell in (column.name, *(row[i] for row in self.rows)))
            for i, column in enumerate(self.columns)
        ]

    def lines(self, width: int | None = None, *, rule: bool = True) -> list[str]:
        """Title, head, rule and rows; no line ends in a blank. Long names fold at spaces."""
        grid, gap, dropped = self.fitted(width)
        widths = _squeezed(grid, gap, width)
        head = _row([column.name for column in grid.columns], grid.columns, widths, gap)
        return [
            *([self.title] if self.title else []),
            *head,
            *(["─" * _total(widths, gap)] if rule else []),
            *chain.from_iterable(_row(row, grid.columns, widths, gap) for row in grid.rows),
            *(_left_out(dropped, width) if dropped else []),
        ]


def _left_out(dropped: Sequence[str], width: int | None) -> list[str]:
    told = f"(no room for {', '.join(dropped)})"
    return [told] if width is None else textwrap.wrap(told, width, break_on_hyphens=False)


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _squeezed(grid: Grid, gap: int, width: int | None) -> list[int]:
    """The widths, with room taken from the widest names where nothing more can be left out."""
    widths = grid.widths()
    names = [i for i, column in enumerate(grid.columns) if not column.right]
    while width is not None and names and _total(widths, gap) > width:
        spare = [i for i in names if widths[i] > _longest_word(grid, i)]
        if not spare:
            break
        widths[max(spare, key=lambda i: widths[i])] -= 1
    return widths


def _longest_word(grid: Grid, column: int) -> int:
    texts = (grid.columns[column].name, *(row[column] for row in grid.rows))
    return max((len(word) for text in texts for word in text.split()), default=0)


def _row(
    cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], gap: int
) -> Iterator[str]:
    folded = [
        textwrap.wrap(cell, max(width, 1), break_long_words=False, break_on_hyphens=False) or [""]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for parts in zip_longest(*folded, fillvalue=""):
        texts = [
            part.rjust(width) if column.right else part.ljust(width)
            for part, column, width in zip(parts, columns, widths, strict=True)
        ]
        yield (" " * gap).join(texts).rstrip()
