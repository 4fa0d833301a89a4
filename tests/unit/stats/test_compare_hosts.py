"""Comparisons over hosts: how often equal things are called different, and what decides."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from collector.stats.compare_hosts import (
    Pair,
    compare_figures_over_hosts,
    compare_over_hosts,
    stratified_p_value,
)
from collector.stats.verdict import Direction

AGAINST_ITSELF = 120


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.stats.hosts.RESAMPLES", 999)


def pairs(
    rng: np.random.Generator,
    hosts: int,
    ratio: float = 1.0,
    own: float = 0.0,
    sizes: tuple[int, int] = (20, 20),
) -> list[Pair]:
    """Both sides on hosts that are unlike; ``own`` is how far the hosts' ratios scatter."""
    found = []
    for _ in range(hosts):
        host, of_ratio = rng.normal(0, 0.3), rng.normal(0, own) if own else 0.0
        base = np.exp(host + rng.normal(0, 0.15, sizes[0]))
        cand = ratio * np.exp(host + of_ratio + rng.normal(0, 0.15, sizes[1]))
        found.append(Pair(list(base), list(cand)))
    return found


@pytest.mark.parametrize(("hosts", "own"), [(5, 0.0), (12, 0.0), (5, 0.1), (12, 0.1)])
def test_a_against_a_over_hosts_is_called_different_less_often_than_one_in_twenty(
    hosts: int, own: float
) -> None:
    """Even where each host prefers one side by chance (``own``), as their mean is nought."""
    rng = np.random.default_rng(hosts + int(own * 10))
    found = Counter(
        compare_over_hosts(pairs(rng, hosts, own=own), seed=seed).direction
        for seed in range(AGAINST_ITSELF)
    )
    wrong = found[Direction.LOWER] + found[Direction.HIGHER]
    assert wrong <= stats.binom.ppf(0.999, AGAINST_ITSELF, 0.05)


def test_a_clear_difference_is_found_from_either_side() -> None:
    there = pairs(np.random.default_rng(2), 6, ratio=3.0)
    back = [Pair(pair.candidate, pair.baseline) for pair in there]
    found, mirrored = (compare_over_hosts(each, seed=1) for each in (there, back))
    assert (found.direction, mirrored.direction) == (Direction.HIGHER, Direction.LOWER)
    assert found.ratio == pytest.approx(3.0, rel=0.1)
    assert found.n_baseline == 120


def test_many_alike_hosts_show_no_difference() -> None:
    found = compare_over_hosts(pairs(np.random.default_rng(4), 40, sizes=(60, 60)), seed=1)
    assert found.direction is Direction.SAME


def test_a_difference_on_one_host_of_six_is_not_one_of_hosts() -> None:
    rng = np.random.default_rng(6)
    found = compare_over_hosts([*pairs(rng, 5), *pairs(rng, 1, ratio=8.0)], seed=1)
    assert found.direction is Direction.OPEN


@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_with_fewer_than_five_hosts_there_is_a_ratio_and_no_verdict(hosts: int) -> None:
    found = compare_over_hosts(pairs(np.random.default_rng(1), hosts, ratio=9.0), seed=1)
    assert found.ratio is not None
    assert (found.interval, found.p_value, found.direction) == (None, None, Direction.OPEN)
    assert "too few to be resampled" in found.reason


def test_a_host_without_one_side_is_no_pair_but_its_failures_count() -> None:
    whole = pairs(np.random.default_rng(5), 5, ratio=0.5)
    assert compare_over_hosts(whole, seed=1).direction is Direction.LOWER
    broken = Pair([1.0] * 20, [], 0, 500)
    found = compare_over_hosts([*whole, broken], seed=1)
    assert found.direction is Direction.OPEN
    assert "never became ready" in found.reason
    assert found.n_baseline == 100


def test_nothing_of_either_side_is_inconclusive() -> None:
    found = compare_over_hosts([Pair([], [1.0]), Pair([2.0], [])], seed=1)
    assert (found.ratio, found.direction) == (None, Direction.OPEN)


def test_a_ratio_that_comes_of_unequal_counts_decides_nothing() -> None:
    """Simpson's paradox: each host shows a difference of 2 %, too small to matter; that the slow
    hosts ran one side more makes nine times of it."""
    rng = np.random.default_rng(8)

    def side(scale: float, n: int) -> list[float]:
        return list(scale * np.exp(rng.normal(0, 0.02, n)))

    hosts = [Pair(side(1, 60), side(1.02, 10)) for _ in range(8)]
    hosts += [Pair(side(9, 10), side(9.18, 60)) for _ in range(8)]
    found = compare_over_hosts(hosts, seed=1)
    assert found.ratio is not None
    assert found.ratio > 5
    assert found.direction is Direction.OPEN
    assert "unequal counts" in found.reason


def test_p_values_within_hosts_are_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(12)
    found = [stratified_p_value(pairs(rng, 5, sizes=(8, 12))) for _ in range(400)]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_p_of_constant_samples_is_one() -> None:
    assert stratified_p_value([Pair([1.0] * 6, [1.0] * 6)] * 5) == 1.0


def test_limits_of_hosts_are_compared_by_their_sums() -> None:
    base = [100.0, 110, 90, 105, 95, 102]
    found = compare_figures_over_hosts(base, [x / 10 for x in base], "total", seed=1)
    assert found.ratio == pytest.approx(0.1)
    assert found.direction is Direction.LOWER
    assert found.p_value is None
    assert "same on every host" in found.reason
    noisy = [9.0, 14, 7, 12, 8, 13]
    assert compare_figures_over_hosts(base, noisy, "total", seed=1).p_value is not None


def test_slopes_of_hosts_are_compared_by_the_median_of_their_ratios() -> None:
    found = compare_figures_over_hosts([1.0, 2, 4, 8, 16], [2.0, 4, 8, 16, 160], "median", seed=1)
    assert found.ratio == pytest.approx(2.0)
    few = compare_figures_over_hosts([1.0, 2], [2.0, 4], "median", seed=1)
    assert (few.ratio, few.interval, few.direction) == (2.0, None, Direction.OPEN)
    none = compare_figures_over_hosts([], [], "median", seed=1)
    assert none.ratio is None


def test_equal_figures_are_called_different_less_often_than_one_in_twenty() -> None:
    rng = np.random.default_rng(21)
    wrong = 0
    for seed in range(AGAINST_ITSELF):
        base, cand = (rng.normal(100, 12, 7) for _ in range(2))
        direction = compare_figures_over_hosts(list(base), list(cand), "total", seed=seed).direction
        wrong += direction in (Direction.LOWER, Direction.HIGHER)
    assert wrong <= stats.binom.ppf(0.999, AGAINST_ITSELF, 0.05)
