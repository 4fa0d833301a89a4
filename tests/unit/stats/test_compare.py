"""When two samples may be called different, and how often that is wrong."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collector.stats.compare import compare, permutation_p_value
from collector.stats.verdict import Direction, judge

AGAINST_ITSELF = 600


def draw(rng: np.random.Generator, n: int, median: float = 1.0, spread: float = 0.2) -> list[float]:
    return list(median * rng.lognormal(0, spread, n))


@pytest.mark.parametrize("sizes", [(6, 6), (20, 20), (60, 20)])
def test_a_against_a_is_called_different_less_often_than_one_in_twenty(
    sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The p-value keeps its level with any number of permutations: few make the test quick.
    monkeypatch.setattr("collector.stats.compare.PERMUTATIONS", 499)
    rng = np.random.default_rng(sum(sizes))
    found = Counter(
        compare(draw(rng, sizes[0]), draw(rng, sizes[1]), seed=seed).direction
        for seed in range(AGAINST_ITSELF)
    )
    wrong = found[Direction.LOWER] + found[Direction.HIGHER]
    assert wrong <= stats.binom.ppf(0.999, AGAINST_ITSELF, 0.05)


def test_a_against_a_with_many_samples_is_no_difference() -> None:
    rng = np.random.default_rng(4)
    assert compare(draw(rng, 900), draw(rng, 900), seed=1).direction is Direction.SAME


def test_a_clear_difference_is_found_from_either_side() -> None:
    rng = np.random.default_rng(2)
    fast, slow = draw(rng, 30), draw(rng, 20, median=9.0)
    there, back = compare(fast, slow, seed=1), compare(slow, fast, seed=1)
    assert (there.direction, back.direction) == (Direction.HIGHER, Direction.LOWER)
    assert there.ratio is not None
    assert back.ratio == pytest.approx(1 / there.ratio)


def test_the_ratios_interval_covers_the_true_ratio() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(120):
        found = compare(draw(rng, 20), draw(rng, 30, median=2.0), seed=seed)
        assert found.interval is not None
        hits += found.interval[0] <= 2 <= found.interval[1]
    assert hits / 120 >= 0.90


@pytest.mark.parametrize("few", [0, 1, 5])
def test_too_few_samples_are_inconclusive(few: int) -> None:
    found = compare([1.0] * few, [9.0] * 50, seed=1)
    assert (found.direction, found.ratio, found.p_value) == (Direction.OPEN, None, None)
    assert "Too few samples" in found.reason


def test_a_duration_that_is_not_positive_is_never_compared() -> None:
    found = compare([-0.1, *[1.0] * 9], [9.0] * 10, seed=1)
    assert found.direction is Direction.OPEN
    assert "not positive" in found.reason


def test_constant_samples_are_compared_without_nan() -> None:
    assert compare([1.0] * 10, [1.0] * 10, seed=1).direction is Direction.SAME
    assert compare([1.0] * 10, [2.0] * 10, seed=1).direction is Direction.HIGHER


def test_survivors_alone_do_not_win() -> None:
    rng = np.random.default_rng(8)
    baseline, candidate = draw(rng, 40), draw(rng, 20, median=0.5)
    assert compare(baseline, candidate, seed=1).direction is Direction.LOWER
    tempered = compare(baseline, candidate, seed=1, missing_candidate=21)
    assert tempered.direction is Direction.OPEN
    assert "never became ready" in tempered.reason


def test_failures_of_the_slower_side_do_not_weaken_the_verdict() -> None:
    rng = np.random.default_rng(8)
    found = compare(draw(rng, 40), draw(rng, 20, median=9.0), seed=1, missing_candidate=15)
    assert found.direction is Direction.HIGHER


@given(st.integers(6, 30), st.integers(6, 30), st.integers(0, 2**63))
def test_p_values_are_shares_and_never_nought(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = permutation_p_value(np.sort(draw(rng, n)), np.sort(draw(rng, m)), rng)
    assert 0 < p <= 1


@pytest.mark.parametrize(
    ("ratio", "interval", "p_value", "expected"),
    [
        (2.0, (1.8, 2.2), 0.001, Direction.HIGHER),
        (0.5, (0.4, 0.6), 0.001, Direction.LOWER),
        (1.0, (0.96, 1.04), 0.9, Direction.SAME),
        (1.02, (1.01, 1.04), 0.01, Direction.SAME),
        (1.3, (0.9, 1.6), 0.2, Direction.OPEN),
        (1.04, (1.01, 1.09), 0.01, Direction.OPEN),
        (1.2, (1.01, 1.5), 0.08, Direction.OPEN),
        (1.0, (0.9, 1.1), 0.9, Direction.OPEN),
    ],
)
def test_the_rule(
    ratio: float, interval: tuple[float, float], p_value: float, expected: Direction
) -> None:
    assert judge(ratio, interval, p_value)[0] is expected


@given(
    st.floats(0.2, 5),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.floats(0.0001, 1),
)
def test_swapping_sides_mirrors_the_verdict(
    ratio: float, below: float, above: float, p_value: float
) -> None:
    low, high = ratio * (1 - below), ratio * (1 + above)
    mirror = {Direction.LOWER: Direction.HIGHER, Direction.HIGHER: Direction.LOWER}
    there = judge(ratio, (low, high), p_value)[0]
    back = judge(1 / ratio, (1 / high, 1 / low), p_value)[0]
    assert back is mirror.get(there, there)
