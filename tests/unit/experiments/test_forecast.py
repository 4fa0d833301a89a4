"""The forecast's arithmetic against scipy, and what it makes of poor data."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agent.experiments.forecast import Crossing, Line, NoForecast, descend, fit, t_quantile

MIB = 1024 * 1024
numbers = st.floats(-1e9, 1e9)


def line(points: list[tuple[float, float]]) -> Line:
    found = fit(points)
    assert isinstance(found, Line)
    return found


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 8, 17, 30, 101, 1000])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_t_quantiles_are_those_of_scipy(degrees: int, level: float) -> None:
    expected = stats.t.ppf((1 + level) / 2, degrees)
    assert t_quantile(degrees, level) == pytest.approx(expected, rel=1e-10)


@given(st.lists(st.tuples(st.integers(0, 1000), numbers), min_size=3, max_size=20))
def test_slope_and_interval_are_those_of_scipy(points: list[tuple[int, float]]) -> None:
    xs = [float(x) for x, _ in points]
    if len(set(xs)) < 2:
        assert isinstance(fit(points), NoForecast)
        return
    ours = line([(float(x), y) for x, y in points])
    theirs = stats.linregress(xs, [y for _, y in points])
    scale = max(abs(y) for _, y in points) + 1
    assert ours.slope == pytest.approx(theirs.slope, abs=1e-9 * scale)
    stderr = 0.0 if math.isnan(theirs.stderr) else theirs.stderr  # nan on constant y
    half = stats.t.ppf(0.975, len(points) - 2) * stderr
    assert ours.slope_interval[1] - ours.slope == pytest.approx(half, rel=1e-4, abs=1e-6 * scale)


def test_a_perfect_line_is_foreseen_exactly() -> None:
    found = descend(line([(0, 1000), (5, 950), (10, 900)]), 200)
    assert found == Crossing(80, 80, 80)


def test_the_interval_is_where_a_new_measurement_at_the_level_is_no_surprise() -> None:
    """Fieller's interval is the inversion of the prediction band: checked at its ends."""
    points = [(0.0, 1003.0), (5.0, 951.0), (10.0, 898.0), (15.0, 852.0), (20.0, 799.0)]
    fitted, level = line(points), 300.0
    found = descend(fitted, level)
    assert isinstance(found, Crossing)
    xs = np.array([x for x, _ in points])
    for end in (found.low, found.high):
        spread = fitted.residual * math.sqrt(1 + 1 / 5 + (end - xs.mean()) ** 2 / fitted.spread_x)
        band = stats.t.ppf(0.975, 3) * spread
        predicted = fitted.mean_y + fitted.slope * (end - fitted.mean_x)
        assert abs(predicted - level) == pytest.approx(band, rel=1e-6)


def test_the_interval_holds_the_truth_in_95_of_100_ramps() -> None:
    draw = random.Random(7)
    hits = ramps = 0
    for _ in range(2000):
        points = [(5.0 * x, 1000 - 10 * 5 * x + draw.gauss(0, 8)) for x in range(6)]
        found = descend(line(points), 200 + draw.gauss(0, 8))
        if isinstance(found, Crossing):
            ramps += 1
            hits += found.low <= 80 <= found.high
    assert ramps > 1900
    assert 0.93 < hits / ramps < 0.97


def test_a_slope_in_doubt_gives_an_interval_without_an_upper_end() -> None:
    """From its lower end on the prediction band holds the level, and leaves it no more."""
    fitted = line([(0, 100), (1, 99), (2, 90), (3, 92)])
    found = descend(fitted, 0)
    assert isinstance(found, Crossing)
    assert 3 < found.low < found.x < found.high == math.inf
    for x, inside in ((found.low - 0.1, False), (found.low + 0.1, True), (1e9, True)):
        spread = fitted.residual * math.sqrt(1 + 1 / 4 + (x - 1.5) ** 2 / fitted.spread_x)
        predicted = fitted.mean_y + fitted.slope * (x - 1.5)
        assert (abs(predicted) <= stats.t.ppf(0.975, 2) * spread) == inside


def test_where_nothing_can_be_ruled_out_the_interval_is_open_on_both_sides() -> None:
    found = descend(line([(0, 100), (1, 80), (2, 99)]), 0)
    assert isinstance(found, Crossing)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_two_points_foretell_nothing() -> None:
    found = fit([(0, 100), (1, 90)])
    assert isinstance(found, NoForecast)
    assert "3" in found.reason


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([(0, 100), (1, 110), (2, 121)], "does not fall"),
        ([(0, 100), (1, 100), (2, 100)], "does not fall"),
        ([(0, 100), (1, 90), (2, 80.1)], "before the first"),
    ],
)
def test_a_line_that_does_not_lead_there_foretells_nothing(
    points: list[tuple[float, float]], why: str
) -> None:
    found = descend(line(points), 120 if "before" in why else 0)
    assert isinstance(found, NoForecast)
    assert why in found.reason


@given(st.lists(st.tuples(st.integers(0, 100), numbers), max_size=8), numbers)
def test_any_points_give_an_ordered_interval_or_a_reason(
    points: list[tuple[int, float]], level: float
) -> None:
    fitted = fit(points)
    found = fitted if isinstance(fitted, NoForecast) else descend(fitted, level)
    if isinstance(found, NoForecast):
        assert found.reason
    else:
        slack = 1e-6 * (abs(found.x) + 1)
        assert found.low - slack <= found.x <= found.high + slack
