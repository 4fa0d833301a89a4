"""The bootstrap against its definition, against scipy, and by how often it is right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collector.stats.bootstrap import bca_interval, jackknife_medians, resampled_medians
from collector.stats.summary import median_interval

SAMPLES = st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=40).map(sorted)


@pytest.mark.parametrize("n", [6, 7, 20, 21])
def test_medians_drawn_through_order_statistics_are_those_of_resamples(n: int) -> None:
    ordered = np.sort(np.random.default_rng(1).lognormal(size=n))
    drawn = resampled_medians(ordered, np.random.default_rng(2), 20_000)
    picks = np.random.default_rng(3).integers(0, n, (20_000, n))
    resampled = np.median(ordered[picks], axis=1)
    assert stats.ks_2samp(drawn, resampled).pvalue > 0.01


@given(SAMPLES)
def test_jackknife_leaves_out_each_item_once(ordered: list[float]) -> None:
    array = np.array(ordered)
    expected = [np.median(np.delete(array, i)) for i in range(len(array))]
    assert jackknife_medians(array) == pytest.approx(expected)


@pytest.mark.parametrize("n", [20, 61])
def test_interval_agrees_with_scipys_bca(n: int) -> None:
    values = np.random.default_rng(5).lognormal(0, 0.3, n)
    theirs = stats.bootstrap(
        (values,), np.median, method="BCa", rng=np.random.default_rng(1), vectorized=True
    ).confidence_interval
    assert median_interval(values, seed=2) == pytest.approx(tuple(theirs), rel=0.03)


@given(SAMPLES)
def test_interval_holds_within_the_sample_and_is_ordered(ordered: list[float]) -> None:
    low, high = median_interval(ordered, seed=1)
    assert ordered[0] <= low <= high <= ordered[-1]


def test_constant_data_give_that_value_and_no_nan() -> None:
    assert median_interval([0.5] * 12, seed=1) == (0.5, 0.5)


def test_constant_replicates_give_a_point() -> None:
    assert bca_interval(1.0, np.ones(50), [np.ones(5)]) == (1.0, 1.0)


def test_almost_constant_data_give_finite_ends() -> None:
    assert all(np.isfinite(median_interval([1.0] * 11 + [9.0], seed=1)))


@pytest.mark.parametrize("n", [6, 20, 61])
def test_interval_covers_the_median_about_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(n)
    trials = 400
    hits = 0
    for seed in range(trials):
        low, high = median_interval(rng.lognormal(0, 0.4, n), seed)
        hits += low <= 1 <= high
    assert 0.90 <= hits / trials <= 0.99
