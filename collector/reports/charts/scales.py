"""From values to pixels, and where an axis is marked."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10


@dataclass(frozen=True, slots=True)
class Linear:
    """Maps ``low``..``high`` to ``start``..``end`` evenly."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        share = (value - self.low) / (self.high - self.low or 1)
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values within the range, about so many, and at least two: one tells no scale."""
        span = self.high - self.low
        if span < _LEAST_SPAN:
            return [self.low]
        found: list[float] = []
        for finer in (1, 2, 4):
            if len(found) < 2:
                step = _round_step(span / about / finer)
                first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
                found = [i * step for i in range(first, last + 1)]
        return found


@dataclass(frozen=True, slots=True)
class Log:
    """Maps positive ``low``..``high`` to ``start``..``end`` by equal ratios."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a positive value."""
        share = log10(value / self.low) / (log10(self.high / self.low) or 1)
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 8) -> list[float]:
        """One, two and five times powers of ten; powers alone where those are too many."""
        decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            found = [
                step * 10.0**decade
                for decade in decades
                for step in steps
                if self.low * 0.999 <= step * 10.0**decade <= self.high * 1.001
            ]
            if len(found) <= about:
                return found
        return found[:: ceil(len(found) / about)]


def log_around(values: list[float], start: float, end: float, margin: float = 1.25) -> Log:
    """A log scale that holds all positive values with a margin."""
    positive = [value for value in values if value > 0] or [1.0]
    return Log(min(positive) / margin, max(positive) * margin, start, end)


_LEAST_SPAN = 1e-300
"""In less there is no room for steps between floating-point numbers."""


def _round_step(rough: float) -> float:
    power = 10.0 ** floor(log10(rough))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)
