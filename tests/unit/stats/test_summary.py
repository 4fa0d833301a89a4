"""What a sample may be said to show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.stats.summary import quantile, required_samples, summarise


@pytest.mark.parametrize(("q", "needed"), [(0.5, 6), (0.95, 60), (0.99, 300)])
def test_a_quantile_needs_three_samples_beyond_it(q: float, needed: int) -> None:
    assert required_samples(q) == needed
    assert quantile(list(range(needed)), q).reason is None
    short = quantile(list(range(needed - 1)), q)
    assert short.value is None
    assert short.reason == f"p{q * 100:g} needs {needed} samples, there are {needed - 1}"


def test_quantiles_interpolate_linearly() -> None:
    values = list(range(1, 101))
    assert quantile(values, 0.95).value == pytest.approx(95.05)


@given(st.lists(st.floats(-1e6, 1e6), max_size=80))
def test_a_summary_is_ordered_and_complete(values: list[float]) -> None:
    summary = summarise(values, seed=3)
    assert summary.n == len(values)
    assert (summary.minimum is None) == (not values)
    assert (summary.p50.value is None) == (summary.p50_interval is None) == (len(values) < 6)
    if summary.p50.value is not None and summary.p50_interval is not None:
        low, high = summary.p50_interval
        assert min(values) <= low <= high <= max(values)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(1).lognormal(size=30)
    assert summarise(values, seed=9) == summarise(values, seed=9)
    assert summarise(values, seed=9).p50_interval != summarise(values, seed=10).p50_interval


def test_no_sample_gives_no_figure() -> None:
    summary = summarise([], seed=1)
    assert (summary.n, summary.mean, summary.minimum, summary.p50.value) == (0, None, None, None)
