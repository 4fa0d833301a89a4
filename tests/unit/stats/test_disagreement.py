"""Which hosts stand apart, and how rarely alike ones are said to."""

from __future__ import annotations

import numpy as np
import pytest

from collector.stats.disagreement import odd_ones


def around(values: list[float], half: float = 0.02) -> list[tuple[float, float]]:
    return [(value - half, value + half) for value in values]


def test_the_one_that_is_unlike_is_named() -> None:
    values = [1.0, 1.01, 0.99, 1.5]
    assert odd_ones(values, around(values)) == [3]


def test_of_two_both_stand_apart_or_none() -> None:
    assert odd_ones([1.0, 2.0], around([1.0, 2.0])) == [0, 1]
    assert odd_ones([1.0, 1.02], around([1.0, 1.02])) == []


def test_wide_intervals_allow_much() -> None:
    values = [1.0, 1.1, 0.9, 1.5]
    assert odd_ones(values, around(values, 0.6)) == []


def test_a_trifle_is_no_disagreement_however_certain() -> None:
    values = [1.0, 1.0, 1.0, 1.04]
    assert odd_ones(values, around(values, 0.0001)) == []
    assert odd_ones([*values[:3], 1.2], around(values, 0.0)) == [3]


@pytest.mark.parametrize("values", [[], [1.0]])
def test_one_host_alone_agrees_with_itself(values: list[float]) -> None:
    assert odd_ones(values, around(values)) == []


def test_without_a_middle_all_stand_apart() -> None:
    values = [1.0, 1.0, 3.0, 3.0]
    assert odd_ones(values, around(values)) == [0, 1, 2, 3]


@pytest.mark.parametrize("hosts", [2, 3, 5, 20, 100])
def test_hosts_that_are_alike_are_seldom_called_odd(hosts: int) -> None:
    rng = np.random.default_rng(hosts)
    error = 0.1
    called = 0
    for _ in range(400):
        values = list(1 + rng.normal(0, error, hosts))
        called += bool(odd_ones(values, around(values, 1.96 * error)))
    assert called / 400 <= 0.03
