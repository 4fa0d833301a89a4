"""Intervals over hosts: how often they hold the truth when hosts differ, and when not."""

from __future__ import annotations

import numpy as np
import pytest

from collector.stats.bootstrap import Floats
from collector.stats.hosts import (
    HOSTS_FOR_INTERVAL,
    Pool,
    expanded_interval,
    merged_median_interval,
    merged_ratio_interval,
    over_hosts,
    too_few_hosts,
)

SIMULATIONS = 100
TRIALS = 20


def fleet(
    rng: np.random.Generator, hosts: int, between: float, within: float = 0.15, mean: float = 0.0
) -> list[Floats]:
    """Log-normal starts: each host has a median of its own around ``exp(mean)``."""
    return [
        np.exp(mean + rng.normal(0, between) + rng.normal(0, within, TRIALS)) for _ in range(hosts)
    ]


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage needs many simulations, not many resamples in each."""
    monkeypatch.setattr("collector.stats.hosts.RESAMPLES", 999)


@pytest.mark.parametrize(
    ("hosts", "between", "band"),
    [
        (5, 0.2, (0.87, 1.0)),
        (5, 0.0, (0.95, 1.0)),
        (8, 0.2, (0.88, 1.0)),
        (20, 0.2, (0.88, 0.99)),
        (20, 0.05, (0.92, 1.0)),
    ],
)
def test_the_merged_medians_interval_covers_the_true_median(
    hosts: int, between: float, band: tuple[float, float]
) -> None:
    rng = np.random.default_rng(hosts * 100 + int(between * 100))
    hits = 0
    for seed in range(SIMULATIONS):
        low, high = merged_median_interval(fleet(rng, hosts, between), seed)
        hits += low <= 1.0 <= high
    assert band[0] <= hits / SIMULATIONS <= band[1]


def test_trials_alone_would_not_cover_it() -> None:
    """What resampling hosts is for: with hosts unlike each other, trials taken for independent
    give intervals that miss the truth more often than not."""
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(60):
        groups = fleet(rng, 8, 0.2)
        low, high = merged_median_interval([[value] for value in np.concatenate(groups)], seed)
        hits += low <= 1.0 <= high
    assert hits / 60 < 0.7


def test_the_merged_ratios_interval_covers_the_true_ratio_whatever_hosts_do_to_both() -> None:
    rng = np.random.default_rng(11)
    hits = 0
    widths = []
    for _ in range(SIMULATIONS):
        shifts = rng.normal(0, 0.3, 6)
        base, cand = (
            Pool.of([np.exp(mean + s + rng.normal(0, 0.1, TRIALS)) for s in shifts])
            for mean in (0.0, np.log(2))
        )
        low, high = merged_ratio_interval(base, cand, rng)
        hits += low <= 2 <= high
        widths.append(high - low)
    assert 0.93 <= hits / SIMULATIONS <= 1.0
    # Each side alone is uncertain by a factor of two: the pairing takes the hosts out.
    assert np.median(widths) < 1.2


def test_sides_of_different_hosts_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="same hosts"):
        merged_ratio_interval(Pool.of([[1.0]]), Pool.of([[1.0], [2.0]]), rng)


def test_a_pool_keeps_hosts_of_different_sizes_apart() -> None:
    pool = Pool.of([[1.0] * 3, [5.0] * 40])
    rng = np.random.default_rng(1)
    assert pool.median == 5.0
    found = pool.medians(np.array([[0, 0], [1, 1], [0, 1]]), rng)
    assert list(found) == [1.0, 5.0, 5.0]


def test_constant_data_give_that_value() -> None:
    assert merged_median_interval([[2.0] * 9] * 6, 1) == (2.0, 2.0)
    assert over_hosts([[3.0] * 5], lambda columns: columns[0].sum(axis=1), 1) == (15.0, 15.0)


def test_the_interval_of_a_total_covers_it() -> None:
    rng = np.random.default_rng(9)
    hits = 0
    for seed in range(SIMULATIONS):
        limits = rng.normal(100, 15, 10)
        low, high = over_hosts([list(limits)], lambda columns: columns[0].sum(axis=1), seed)
        hits += low <= 1000 <= high
    assert 0.90 <= hits / SIMULATIONS <= 0.99


def test_fewer_hosts_get_wider_tails() -> None:
    replicates = np.random.default_rng(0).normal(size=20_000)
    few, many = (expanded_interval(replicates, hosts) for hosts in (5, 200))
    assert few[1] - few[0] > 1.4 * (many[1] - many[0])
    assert many[1] - many[0] == pytest.approx(2 * 1.96, rel=0.03)


def test_the_same_seed_gives_the_same_interval() -> None:
    groups = fleet(np.random.default_rng(4), 5, 0.1)
    assert merged_median_interval(groups, 7) == merged_median_interval(groups, 7)


def test_too_few_hosts_is_said_in_one_sentence() -> None:
    assert too_few_hosts(HOSTS_FOR_INTERVAL) == ""
    assert too_few_hosts(3).startswith("3 hosts are too few to be resampled (5 are needed)")
    assert too_few_hosts(1).startswith("1 host is too few")
