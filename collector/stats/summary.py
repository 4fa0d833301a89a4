"""One sample in figures: quantiles, the median's interval, extremes, mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector.stats.bootstrap import (
    Floats,
    Interval,
    bca_interval,
    jackknife_medians,
    resampled_medians,
)


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile, or why there is none: exactly one of the two is None."""

    value: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A sample of ``n`` in its own unit; everything is None where ``n`` is 0."""

    n: int
    p50: Quantile
    p50_interval: Interval | None
    p95: Quantile
    p99: Quantile
    minimum: float | None
    maximum: float | None
    mean: float | None


def required_samples(q: float) -> int:
    """Fewest samples that carry the quantile ``q``: 3 / (1 - q), so that three lie beyond it."""
    return math.ceil(round(3 / (1 - q), 6))


def quantile(values: Sequence[float] | Floats, q: float) -> Quantile:
    """Quantile by linear interpolation (Hyndman and Fan 1996, type 7)."""
    needed = required_samples(q)
    if len(values) < needed:
        return Quantile(None, f"p{q * 100:g} needs {needed} samples, there are {len(values)}")
    return Quantile(float(np.quantile(values, q, method="linear")), None)


def median_interval(values: Sequence[float] | Floats, seed: int) -> Interval:
    """95 % BCa bootstrap interval of the median of at least two values."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    replicates = resampled_medians(ordered, np.random.default_rng(seed))
    return bca_interval(float(np.median(ordered)), replicates, [jackknife_medians(ordered)])


def summarise(values: Sequence[float] | Floats, seed: int) -> Summary:
    """Summary of ``values``; the same seed gives the same interval."""
    array = np.asarray(values, dtype=np.float64)
    p50 = quantile(array, 0.5)
    return Summary(
        n=len(array),
        p50=p50,
        p50_interval=None if p50.value is None else median_interval(array, seed),
        p95=quantile(array, 0.95),
        p99=quantile(array, 0.99),
        minimum=float(array.min()) if len(array) else None,
        maximum=float(array.max()) if len(array) else None,
        mean=float(array.mean()) if len(array) else None,
    )
