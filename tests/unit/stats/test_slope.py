"""What one more instance costs, and how sure that is."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from scipy import stats

from collector.stats.slope import Slope, compare_slopes, p_value, ratio_interval, slope
from collector.stats.verdict import Direction

COUNTS = [1, 2, 4, 8]


def series(
    rng: np.random.Generator, repeats: int, each: float, noise: float = 0.5, drift: float = 3.0
) -> Slope:
    x = np.tile(COUNTS, repeats)
    repeat = np.repeat(np.arange(repeats), len(COUNTS))
    y = each * x + rng.normal(0, noise, len(x)) + rng.normal(0, drift, repeats)[repeat]
    return slope(x.tolist(), y.tolist(), repeat.tolist())


def test_one_series_agrees_with_scipys_regression() -> None:
    y = [4.1, 8.3, 15.7, 32.4]
    found, theirs = slope(COUNTS, y, [0] * 4), stats.linregress(COUNTS, y)
    assert found.value == pytest.approx(theirs.slope)
    assert found.standard_error == pytest.approx(theirs.stderr)


def test_balanced_repeats_give_the_mean_of_their_slopes_and_its_t_interval() -> None:
    rng = np.random.default_rng(1)
    y = [list(4 * np.array(COUNTS) + rng.normal(0, 1, 4)) for _ in range(4)]
    own = [stats.linregress(COUNTS, values).slope for values in y]
    found = slope(COUNTS * 4, list(chain(*y)), [r for r in range(4) for _ in COUNTS])
    low, high = stats.t.interval(0.95, 3, np.mean(own), stats.sem(own))
    assert found.value == pytest.approx(np.mean(own))
    assert found.interval == pytest.approx((low, high))


@pytest.mark.parametrize("repeats", [1, 2, 3, 5])
def test_the_interval_covers_the_true_cost(repeats: int) -> None:
    rng = np.random.default_rng(repeats)
    hits = 0
    for _ in range(400):
        interval = series(rng, repeats, 4.0).interval
        assert interval is not None
        hits += interval[0] <= 4 <= interval[1]
    assert 0.91 <= hits / 400 <= 0.985


@pytest.mark.parametrize("repeats", [1, 3])
def test_equal_costs_are_called_different_less_often_than_one_in_twenty(repeats: int) -> None:
    rng = np.random.default_rng(repeats)
    found = [
        compare_slopes(series(rng, repeats, 4.0), series(rng, repeats, 4.0)).direction
        for _ in range(300)
    ]
    assert sum(d in (Direction.LOWER, Direction.HIGHER) for d in found) / 300 <= 0.05


def test_fiellers_interval_covers_the_true_ratio() -> None:
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(300):
        interval = ratio_interval(series(rng, 3, 4.0), series(rng, 3, 12.0))
        hits += interval is None or interval[0] <= 3 <= interval[1]
    assert hits / 300 >= 0.92


def test_a_drift_between_repeats_does_not_tilt_the_slope() -> None:
    x, repeat = [1, 2, 4, 5], [0, 0, 1, 1]
    assert slope(x, [10, 12, 108, 110], repeat).value == pytest.approx(2.0)


def test_constant_readings_cost_nothing_for_certain() -> None:
    found = slope(COUNTS, [7.0] * 4, [0] * 4)
    assert (found.value, found.interval) == (0.0, (0.0, 0.0))


@pytest.mark.parametrize(("x", "y"), [([], []), ([3.0], [1.0]), ([3.0, 3.0], [1.0, 2.0])])
def test_fewer_than_two_counts_give_no_slope(x: list[float], y: list[float]) -> None:
    found = slope(x, y, [0] * len(x))
    assert (found.value, found.interval) == (None, None)
    assert found.reason


def test_two_points_give_a_slope_and_no_interval() -> None:
    found = slope([1, 3], [2.0, 6.0], [0, 0])
    assert (found.value, found.interval) == (2.0, None)
    assert found.reason


def test_a_baseline_that_may_be_nought_has_no_ratio_interval() -> None:
    unsure = Slope(0.1, 5.0, 4, (-10.0, 10.0), 6)
    sure = Slope(4.0, 0.1, 4, (3.7, 4.3), 6)
    assert ratio_interval(unsure, sure) is None
    assert compare_slopes(unsure, sure).direction is Direction.OPEN


def test_a_baseline_below_nought_has_no_ratio() -> None:
    negative = Slope(-2.0, 0.1, 4, (-2.3, -1.7), 6)
    assert compare_slopes(negative, Slope(4.0, 0.1, 4, (3.7, 4.3), 6)).ratio is None


def test_exact_slopes_are_the_same_or_not() -> None:
    exact = [Slope(value, 0.0, 3, (value, value), 4) for value in (2.0, 2.0, 8.0)]
    assert p_value(exact[0], exact[2]) is None
    assert compare_slopes(exact[0], exact[1]).direction is Direction.SAME
    found = compare_slopes(exact[0], exact[2])
    assert (found.direction, found.interval, found.p_value) == (Direction.HIGHER, (4.0, 4.0), None)


def test_a_side_without_points_is_inconclusive() -> None:
    nothing = slope([], [], [])
    assert compare_slopes(nothing, nothing).direction is Direction.OPEN
