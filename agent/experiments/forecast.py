"""Where a straight line will cross a limit: least squares without a library.

The agent installs little, so this is arithmetic of its own, compared with
scipy in the tests. Formulas: Draper & Smith, Applied Regression Analysis,
3rd ed., sections 1.4 (slope and its t-interval) and 3.2 (inverse prediction);
Abramowitz & Stegun 26.7.3 and 26.7.4 (Student's t).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agent.experiments.verdict import mebibytes

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Line:
    """A line fitted by ordinary least squares, through ``(mean_x, mean_y)``.

    ``residual`` is the residual standard deviation with n - 2 degrees of freedom.
    """

    slope: float
    mean_x: float
    mean_y: float
    spread_x: float
    residual: float
    n: int

    @property
    def slope_interval(self) -> tuple[float, float]:
        """The slope's 95 % interval."""
        half = t_quantile(self.n - 2) * self.residual / math.sqrt(self.spread_x)
        return self.slope - half, self.slope + half


@dataclass(frozen=True, slots=True)
class Crossing:
    """The x at which the line meets a level, with its 95 % interval, which may be open."""

    x: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class NoForecast:
    """Why the points foretell nothing, in one sentence."""

    reason: str


def fit(points: Sequence[tuple[float, float]]) -> Line | NoForecast:
    """Fit a line to at least three points of at least two different x."""
    n = len(points)
    if n < 3:
        return NoForecast(f"{n} points leave nothing to judge the line by; 3 are the least")
    mean_x = math.fsum(x for x, _ in points) / n
    mean_y = math.fsum(y for _, y in points) / n
    spread_x = math.fsum((x - mean_x) ** 2 for x, _ in points)
    if spread_x == 0:
        return NoForecast("all points have the same number of instances")
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread_x
    squares = math.fsum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    return Line(slope, mean_x, mean_y, spread_x, math.sqrt(squares / (n - 2)), n)


def descend(line: Line, level: float) -> Crossing | NoForecast:
    """Where a falling line, and one more measurement scattered about it, meets ``level``.

    The interval is inverse prediction by Fieller's theorem: all x at which a new
    measurement equal to ``level`` would lie within the line's 95 % prediction
    band. It is asymmetric. Where the slope's own interval reaches zero the band
    never falls below ``level`` for good: the interval then has no upper end
    (``inf``), and where nothing can be ruled out no lower end either (``-inf``).
    There is no forecast for a line that does not fall, nor one below x = 0.
    """
    if line.slope >= 0:
        more = mebibytes(round(line.slope))
        return NoForecast(f"memory does not fall with the number of instances: {more} more each")
    rise = level - line.mean_y
    x = line.mean_x + rise / line.slope
    if x < 0:
        return NoForecast("the line is below its limit before the first instance")
    low, high = _fieller(line, rise)
    return Crossing(x, line.mean_x + low, line.mean_x + high)


def _fieller(line: Line, rise: float) -> tuple[float, float]:
    """The ends about ``mean_x``: where a d^2 - 2 slope rise d + c <= 0, the part with the
    line's own crossing."""
    margin = (t_quantile(line.n - 2) * line.residual) ** 2
    a = line.slope**2 - margin / line.spread_x  # positive if the slope's interval excludes 0
    c = rise**2 - margin * (1 + 1 / line.n)
    under = (line.slope * rise) ** 2 - a * c
    if a == 0 or (a < 0 and under < 0):
        return -math.inf, math.inf
    root = math.sqrt(max(0.0, under))
    first, last = sorted((line.slope * rise + sign * root) / a for sign in (-1, 1))
    if a > 0:
        return first, last
    return (last if rise / line.slope >= last else -math.inf), math.inf


def t_quantile(degrees: int, level: float = LEVEL) -> float:
    """The t that a Student variable's magnitude stays below with probability ``level``.

    For whole degrees of freedom the distribution has a finite closed form in
    theta = atan(t / sqrt(degrees)); theta is found by bisection to the last bit.
    """
    low, high = 0.0, math.pi / 2
    while (middle := (low + high) / 2) not in (low, high):
        if _within(middle, degrees) < level:
            low = middle
        else:
            high = middle
    return math.tan(high) * math.sqrt(degrees)


def _within(theta: float, degrees: int) -> float:
    """P(|T| <= t), Abramowitz & Stegun 26.7.3 (odd) and 26.7.4 (even)."""
    cosine = math.cos(theta)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0 if degrees == 1 else term
    for k in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    if odd:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total
