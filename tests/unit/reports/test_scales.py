"""Axes: marks within the range, in order, and pixels that follow the values."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collector.reports.charts.scales import Linear, Log, log_around


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_linear_marks_lie_within_and_are_few(low: float, span: float) -> None:
    assume(span > abs(low) * 1e-6)
    ticks = Linear(low, low + span, 0, 100).ticks(5)
    assert len(ticks) <= 8
    assert ticks == sorted(ticks)
    assert all(low - span * 1e-3 <= tick <= low + span * 1.001 for tick in ticks)


@given(st.floats(1e-9, 1e9), st.floats(1.1, 1e9))
def test_log_marks_lie_within_and_are_few(low: float, ratio: float) -> None:
    ticks = Log(low, low * ratio, 0, 100).ticks(8)
    assert len(ticks) <= 8
    assert all(low * 0.99 <= tick <= low * ratio * 1.01 for tick in ticks)


def test_log_gives_equal_ratios_equal_room() -> None:
    scale = Log(1, 100, 0, 200)
    assert [scale(value) for value in (1, 10, 100)] == pytest.approx([0, 100, 200])


def test_a_scale_of_nothing_does_not_fail() -> None:
    assert Linear(3, 3, 0, 10)(3) == 0
    assert log_around([], 0, 10)(1.0) == pytest.approx(5)
    assert log_around([2.0], 0, 10)(2.0) == pytest.approx(5)
