"""Where available memory meets a limit when each further instance costs more than the last.

A shim reads the host's table of mounts, in which every instance has a line: hundreds of
containers cost more each than the first ones did, and a straight line foresees too many.
The bend is taken from the points where they show one beyond doubt, else the line stands.

Orthogonal polynomials, Draper & Smith, Applied Regression Analysis, 3rd ed., chapter 22:
the term of second order is fitted to what the line leaves over, and changes neither its
slope nor its mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.experiments.forecast import Crossing, Line, NoForecast, descend, fit, t_quantile

BEYOND_DOUBT = 0.99
_LEAST_POINTS = 5
_FARTHEST = 1e9  # instances


@dataclass(frozen=True, slots=True)
class Curve:
    """A line and a bend about its ``mean_x``: per instance squared, below zero.

    ``skew`` and ``spread_x / n`` make its term orthogonal to the line's, ``spread`` is the sum
    of that term's squares. ``scatter``: where 95 of 100 points lie, to either side.
    """

    line: Line
    bend: float
    skew: float
    spread: float
    scatter: float

    def at(self, x: float) -> float:
        """What is foreseen at x."""
        line = self.line
        return line.mean_y + line.slope * (x - line.mean_x) + self.bend * self._term(x)

    def margin(self, x: float) -> float:
        """Half the width of the 95 % band for one more measurement at x."""
        line = self.line
        spread = (x - line.mean_x) ** 2 / line.spread_x + self._term(x) ** 2 / self.spread
        return self.scatter * math.sqrt(1 + 1 / line.n + spread)

    def _term(self, x: float) -> float:
        return _term(x - self.line.mean_x, self.skew, self.line.spread_x / self.line.n)


def meet(points: Sequence[tuple[float, float]], level: float) -> Crossing | NoForecast:
    """Where falling points will meet ``level``, with a 95 % interval: by their curve if they
    bend down beyond doubt, else by their line."""
    line = fit(points)
    if isinstance(line, NoForecast):
        return line
    curve = _bent(points, line)
    last = max(x for x, _ in points)
    if curve is None or curve.at(last) <= level:
        return descend(line, level)
    return Crossing(
        _first(lambda x: curve.at(x) <= level, last),
        _first(lambda x: curve.at(x) - curve.margin(x) <= level, last),
        _first(lambda x: curve.at(x) + curve.margin(x) <= level, last),
    )


def _bent(points: Sequence[tuple[float, float]], line: Line) -> Curve | None:
    """The curve, where the bend's own 99 % interval lies below zero."""
    if line.n < _LEAST_POINTS:
        return None
    offsets = [(x - line.mean_x, y) for x, y in points]
    skew = math.fsum(u**3 for u, _ in offsets) / line.spread_x
    terms = [(_term(u, skew, line.spread_x / line.n), u, y) for u, y in offsets]
    spread = math.fsum(term**2 for term, _, _ in terms)
    if spread <= 0:  # the points have two different x: any curve goes through them
        return None
    bend = math.fsum(term * y for term, _, y in terms) / spread
    left = [y - line.mean_y - line.slope * u - bend * term for term, u, y in terms]
    residual = math.sqrt(math.fsum(each**2 for each in left) / (line.n - 3))
    if bend + t_quantile(line.n - 3, BEYOND_DOUBT) * residual / math.sqrt(spread) >= 0:
        return None
    return Curve(line, bend, skew, spread, t_quantile(line.n - 3) * residual)


def _term(u: float, skew: float, mean_square: float) -> float:
    return u**2 - skew * u - mean_square


def _first(reached: Callable[[float], bool], last: float) -> float:
    """The first x from ``last`` on at which something holds that then goes on to hold; ``last``
    if it does already, infinity if it never comes."""
    low, high = last, 2 * last + 1
    while not reached(high):
        low, high = high, 2 * high
        if high > _FARTHEST:
            return math.inf
    if reached(last):
        return last
    while (middle := (low + high) / 2) not in (low, high):
        if reached(middle):
            high = middle
        else:
            low = middle
    return high
