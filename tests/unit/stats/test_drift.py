"""Drift over time: the slope that was put in comes out, whatever the count does."""

from __future__ import annotations

import numpy as np
import pytest

from collector.stats.drift import drift


def test_a_straight_line_is_found_exactly() -> None:
    found = drift([0, 10, 20, 30], [5.0, 25.0, 45.0, 65.0], [3, 3, 3, 3])
    assert found.value == pytest.approx(2.0)
    assert found.interval == pytest.approx((2.0, 2.0))
    assert found.n_points == 4


def test_more_instances_at_some_readings_are_no_drift() -> None:
    counts = [3, 4, 3, 5, 4, 3]
    found = drift(range(6), [100.0 * count for count in counts], counts)
    assert found.value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("at", [[], [4.0], [4.0, 4.0]])
def test_without_time_between_readings_there_is_none(at: list[float]) -> None:
    found = drift(at, [1.0] * len(at), [3] * len(at))
    assert (found.value, found.interval) == (None, None)
    assert found.reason


def test_two_readings_give_a_slope_without_an_interval() -> None:
    found = drift([0, 10], [0.0, 20.0], [3, 3])
    assert found.value == pytest.approx(2.0)
    assert found.interval is None
    assert found.reason


def test_the_interval_holds_the_true_slope_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    at, hits = np.linspace(0, 100, 20), 0
    for _ in range(400):
        counts = rng.integers(3, 6, 20)
        used = 0.5 * at + 7.0 * counts + rng.normal(0, 4, 20)
        found = drift(at.tolist(), used.tolist(), counts.tolist())
        assert found.interval is not None
        hits += found.interval[0] <= 0.5 <= found.interval[1]
    assert 0.92 <= hits / 400 <= 0.98
