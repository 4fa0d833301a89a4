"""What one more instance costs: the slope of a total over the count of instances.

A series is measured in repeats. Each repeat has an intercept of its own,
since the empty host drifts between repeats; all share one slope.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from collector.stats.bootstrap import LEVEL, Floats, Interval
from collector.stats.verdict import MINIMUM_EFFECT, Comparison, Direction, judge

CLUSTERS_FOR_INTERVAL = 3


@dataclass(frozen=True, slots=True)
class Slope:
    """Change of y for each unit of x; None where the points do not tell."""

    value: float | None
    standard_error: float | None
    degrees_of_freedom: float
    interval: Interval | None
    n_points: int
    reason: str | None = None


def slope(x: Sequence[float], y: Sequence[float], repeat: Sequence[int]) -> Slope:
    """Ordinary least squares with an intercept for each repeat, and its 95 % interval.

    With three repeats or more the interval comes from how the repeats' own
    slopes differ (cluster-robust, t with repeats - 1 degrees of freedom: points
    of one repeat build on one another and are not independent). With fewer it
    comes from the residuals (t with n - repeats - 1), which takes them for
    independent.
    """
    groups = [
        (xs, ys)
        for xs, ys in _by_repeat(np.asarray(x, float), np.asarray(y, float), np.asarray(repeat))
        if np.ptp(xs) > 0
    ]
    if not groups:
        return Slope(None, None, 0, None, len(x), "fewer than two counts were measured")
    spreads = np.array([_spread(xs) for xs, _ in groups])
    slopes = np.array([_slope_within(xs, ys) for xs, ys in groups])
    value = float(np.average(slopes, weights=spreads))
    error, freedom = _standard_error(groups, slopes, spreads, value)
    n_points = sum(len(xs) for xs, _ in groups)
    if error is None:
        reason = "an interval needs three counts in one series, or a second one"
        return Slope(value, None, 0, None, n_points, reason)
    reach = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    return Slope(value, error, freedom, (value - reach, value + reach), n_points)


def _by_repeat(x: Floats, y: Floats, repeat: np.ndarray) -> list[tuple[Floats, Floats]]:
    return [(x[repeat == r], y[repeat == r]) for r in np.unique(repeat)]


def _spread(xs: Floats) -> float:
    return float(((xs - xs.mean()) ** 2).sum())


def _slope_within(xs: Floats, ys: Floats) -> float:
    return float(((xs - xs.mean()) * (ys - ys.mean())).sum() / _spread(xs))


def _standard_error(
    groups: list[tuple[Floats, Floats]], slopes: Floats, spreads: Floats, value: float
) -> tuple[float | None, float]:
    repeats = len(groups)
    if repeats >= CLUSTERS_FOR_INTERVAL:
        weights = spreads / spreads.sum()
        between = float((weights**2 * (slopes - value) ** 2).sum()) * repeats / (repeats - 1)
        return math.sqrt(between), repeats - 1
    freedom = sum(len(xs) for xs, _ in groups) - repeats - 1
    if freedom < 1:
        return None, 0
    residual = sum(
        float(((ys - ys.mean() - value * (xs - xs.mean())) ** 2).sum()) for xs, ys in groups
    )
    return math.sqrt(residual / freedom / float(spreads.sum())), freedom


def ratio_interval(baseline: Slope, candidate: Slope) -> Interval | None:
    """95 % interval of candidate / baseline by Fieller's theorem (1954), slopes independent.

    None where the baseline cannot be told from zero: the ratio is then unbounded.
    """
    base, cand = baseline.value, candidate.value
    if not base or cand is None:
        return None
    if baseline.standard_error is None or candidate.standard_error is None:
        return None
    ratio = cand / base
    of_base, of_cand = ratio * baseline.standard_error, candidate.standard_error
    t = float(stdtrit(_freedom(baseline, of_base, candidate, of_cand), (1 + LEVEL) / 2))
    g = (t * baseline.standard_error / base) ** 2
    if g >= 1:
        return None
    reach = t / abs(base) * math.sqrt((1 - g) * of_cand**2 + of_base**2)
    return (ratio - reach) / (1 - g), (ratio + reach) / (1 - g)


def p_value(baseline: Slope, candidate: Slope) -> float | None:
    """Two-sided p-value of Welch's t test that both slopes are the same.

    None where a slope has no error, or neither has any: certainty is no chance.
    """
    if baseline.value is None or candidate.value is None:
        return None
    if baseline.standard_error is None or candidate.standard_error is None:
        return None
    gap = abs(candidate.value - baseline.value)
    error = math.hypot(baseline.standard_error, candidate.standard_error)
    if error == 0:
        return None
    freedom = _freedom(baseline, baseline.standard_error, candidate, candidate.standard_error)
    return float(2 * stdtr(freedom, -gap / error))


def _freedom(baseline: Slope, of_base: float, candidate: Slope, of_cand: float) -> float:
    """Welch and Satterthwaite's degrees of freedom for two errors."""
    total = of_base**2 + of_cand**2
    if total == 0:
        return baseline.degrees_of_freedom + candidate.degrees_of_freedom
    parts = of_base**4 / baseline.degrees_of_freedom + of_cand**4 / candidate.degrees_of_freedom
    return total**2 / parts


def compare_slopes(
    baseline: Slope, candidate: Slope, *, minimum_effect: float = MINIMUM_EFFECT
) -> Comparison:
    """Compare two slopes; open where either has no interval or the baseline may be zero.

    Where no reading of either side varied, the ratio is exact and has no p-value.
    """
    interval, p = ratio_interval(baseline, candidate), p_value(baseline, candidate)
    counts = baseline.n_points, candidate.n_points
    if baseline.value is None or candidate.value is None:
        return Comparison(None, None, None, *counts, Direction.OPEN, "One side was not measured.")
    ratio = candidate.value / baseline.value if baseline.value > 0 else None
    if ratio is None:
        reason = "The baseline's cost is not above zero: there is no ratio."
        return Comparison(None, None, p, *counts, Direction.OPEN, reason)
    if interval is not None and baseline.standard_error == 0 == candidate.standard_error:
        direction, _ = judge(ratio, interval, 0.0, minimum_effect)
        reason = "No reading of either side varied: the ratio is exact."
        return Comparison(ratio, interval, None, *counts, direction, reason)
    if interval is None or p is None:
        reason = "The points do not give the ratio an interval: more counts or repeats would."
        return Comparison(ratio, None, p, *counts, Direction.OPEN, reason)
    direction, reason = judge(ratio, interval, p, minimum_effect)
    return Comparison(ratio, interval, p, *counts, direction, reason)
