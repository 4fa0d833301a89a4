"""A ratio's interval from the intervals of its sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from collector.stats.recovered import ratio_interval


def test_exact_sides_give_an_exact_ratio() -> None:
    assert ratio_interval(6, (6, 6), 2, (2, 2)) == pytest.approx((3, 3))


def test_exchanging_the_sides_inverts_it() -> None:
    one = ratio_interval(160, (150, 171), 4, (3.5, 4.6))
    other = ratio_interval(4, (3.5, 4.6), 160, (150, 171))
    assert one is not None
    assert other is not None
    assert one == pytest.approx((1 / (other[1] or 0), 1 / (other[0] or 0)))


def test_a_side_that_may_be_nothing_leaves_an_end_open() -> None:
    assert ratio_interval(160, (150, 171), 4, (-1, 9))[1] is None  # type: ignore[index]
    assert ratio_interval(4, (-1, 9), 160, (150, 171))[0] is None  # type: ignore[index]


@pytest.mark.parametrize(("numerator", "denominator"), [(5, 0), (5, -1), (-5, 1)])
def test_without_meaning_there_is_none(numerator: float, denominator: float) -> None:
    about = (numerator - 1, numerator + 1), (denominator - 1, denominator + 1)
    assert ratio_interval(numerator, about[0], denominator, about[1]) is None


def test_it_holds_the_true_ratio_about_as_often_as_its_sides_hold_theirs() -> None:
    rng, held, rounds = np.random.default_rng(5), 0, 600
    for _ in range(rounds):
        sides = [_estimate(rng, truth, noise) for truth, noise in ((160, 6), (4, 0.5))]
        found = ratio_interval(*sides[0], *sides[1])
        assert found is not None
        low, high = found
        held += (low or 0) <= 40 <= (high or math.inf)
    assert 0.92 <= held / rounds <= 0.985


def _estimate(
    rng: np.random.Generator, truth: float, noise: float, n: int = 8
) -> tuple[float, tuple[float, float]]:
    values = rng.normal(truth, noise, n)
    mean, error = float(values.mean()), float(values.std(ddof=1) / math.sqrt(n))
    reach = float(stdtrit(n - 1, 0.975)) * error
    return mean, (mean - reach, mean + reach)
