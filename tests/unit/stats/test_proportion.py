"""The interval of a share is exact, and stays within 0 and 1."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from collector.stats.proportion import proportion_interval


@pytest.mark.parametrize(("count", "of"), [(0, 3), (1, 3), (3, 3), (1, 1), (17, 300), (300, 300)])
def test_it_is_the_one_of_clopper_and_pearson(count: int, of: int) -> None:
    expected = binomtest(count, of).proportion_ci(0.95, "exact")
    assert proportion_interval(count, of) == pytest.approx((expected.low, expected.high))
