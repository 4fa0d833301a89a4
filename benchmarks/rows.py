"""A benchmark's row, and the interval behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_RESAMPLES = 5000
_SEED = 20260101


@dataclass(frozen=True, slots=True)
class Row:
    """One figure against its target.

    ``direction`` is ``max`` when the value should be at most the target and
    ``min`` when it should be at least. ``ci`` is the 95 % bootstrap interval;
    a row is ok unless that interval lies wholly beyond the target.
    """

    name: str
    value: float
    ci: tuple[float, float]
    unit: str
    target: float
    direction: Literal["max", "min"]
    n: int
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the target is not shown to be missed."""
        low, high = self.ci
        return low <= self.target if self.direction == "max" else high >= self.target


def zero(name: str, value: float, n: int, note: str = "") -> Row:
    """A count that must be zero; it has no spread."""
    return Row(name, value, (value, value), "", 0, "max", n, note)


def paired_ratio(
    candidate: Sequence[float], baseline: Sequence[float], statistic: Statistic | None = None
) -> tuple[float, tuple[float, float]]:
    """``statistic(candidate) / statistic(baseline)`` (medians unless stated) with its
    percentile bootstrap interval; the i-th values were measured side by side and
    are resampled as pairs."""
    statistic = statistic or (lambda rows: np.median(rows, axis=-1))
    top, bottom = np.asarray(candidate, float), np.asarray(baseline, float)
    picks = np.random.default_rng(_SEED).integers(0, len(top), (_RESAMPLES, len(top)))
    ratios = statistic(top[picks]) / statistic(bottom[picks])
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(statistic(top) / statistic(bottom)), (float(low), float(high))


def quantile_with_interval(values: Sequence[float], q: float) -> tuple[float, tuple[float, float]]:
    """The ``q`` quantile (linear interpolation) and its percentile bootstrap interval."""
    array = np.asarray(values, float)
    picks = np.random.default_rng(_SEED).integers(0, len(array), (_RESAMPLES, len(array)))
    low, high = np.quantile(np.quantile(array[picks], q, axis=1), [0.025, 0.975])
    return float(np.quantile(array, q)), (float(low), float(high))
