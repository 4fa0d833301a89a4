"""Ramps whose instances cost more the more there are."""

from __future__ import annotations

import random

import numpy as np
import pytest

from agent.experiments.curve import meet
from agent.experiments.forecast import Crossing, Line, descend, fit

STEPS = range(0, 450, 50)
EMPTY, EACH, MORE = 23_000.0, 3.3, 0.0014  # MiB, as containers under runc alone were seen
LEVEL = EMPTY - 4096


def ramp(noise: float, seed: int, more: float = MORE) -> list[tuple[float, float]]:
    draw = random.Random(seed)
    return [(x, EMPTY - EACH * x - more * x * x + draw.gauss(0, noise)) for x in STEPS]


def truth(more: float = MORE) -> float:
    return float((-EACH + np.sqrt(EACH**2 + 4 * more * 4096)) / (2 * more))


def met(points: list[tuple[float, float]]) -> Crossing:
    found = meet(points, LEVEL)
    assert isinstance(found, Crossing)
    return found


def by_line(points: list[tuple[float, float]]) -> Crossing:
    line = fit(points)
    assert isinstance(line, Line)
    found = descend(line, LEVEL)
    assert isinstance(found, Crossing)
    return found


def test_a_bend_is_foreseen_where_a_line_foresees_too_many() -> None:
    points = ramp(0, 1)
    assert met(points).x == pytest.approx(truth())
    assert by_line(points).x > 1.15 * truth()


def test_the_curve_is_that_of_numpy() -> None:
    points = ramp(2, 3)
    a, b, c = np.polyfit([x for x, _ in points], [y for _, y in points], 2)
    assert met(points).x == pytest.approx(min(np.roots([a, b, c - LEVEL]), key=lambda x: x < 0))


def test_the_interval_holds_what_was_true_in_95_of_100_ramps() -> None:
    n = 400
    found = [met(ramp(3, seed)) for seed in range(n)]
    draw = random.Random(n)
    reached = (truth() + draw.gauss(0, 3) / (EACH + 2 * MORE * truth()) for _ in range(n))
    held = sum(each.low <= x <= each.high for each, x in zip(found, reached, strict=True))
    assert 0.92 * n <= held <= 0.98 * n


def test_noise_about_a_line_is_hardly_ever_taken_for_a_bend() -> None:
    n = 400
    bent = sum(met(points) != by_line(points) for points in (ramp(3, s, 0) for s in range(n)))
    assert bent <= 0.015 * n


@pytest.mark.parametrize("more", [-0.0014, 0.0])
def test_what_does_not_bend_down_is_foreseen_by_its_line(more: float) -> None:
    points = ramp(0, 1, more)
    assert met(points) == by_line(points)


def test_few_points_are_foreseen_by_their_line() -> None:
    points = ramp(0, 1)[:4]
    assert met(points) == by_line(points)


def test_two_numbers_of_instances_make_no_curve() -> None:
    points = [(0.0, 10.0), (0.0, 10.1), (0.0, 9.9), (4.0, 6.0), (4.0, 6.1)]
    found = meet(points, 2.0)
    assert isinstance(found, Crossing)
    assert found.x == pytest.approx(8, rel=0.1)
