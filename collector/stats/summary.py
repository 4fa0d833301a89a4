"""One sample in figures: quantiles, the median's interval, extremes, mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from collector.stats.bootstrap import (
    RESAMPLES,
    Floats,
    Interval,
    bca_interval,
    jackknife_medians,
    reduced,
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


def median_interval(values: Sequence[float] | Floats, seed: int, effort: float = 1.0) -> Interval:
    """95 % BCa bootstrap interval of the median of at least two values.

    ``effort`` is the share of the usual resamples to make.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    resamples = reduced(RESAMPLES, effort)
    replicates = resampled_medians(ordered, np.random.default_rng(seed), resamples)
    return bca_interval(float(np.median(ordered)), replicates, [jackknife_medians(ordered)])


def summarise(values: Sequence[float] | Floats, seed: int, effort: float = 1.0) -> Summary:
    """Summary of ``values``; the same seed gives the same interval."""
    summary = describe(values)
    if summary.p50.value is None:
        return summary
    return replace(summary, p50_interval=median_interval(values, seed, effort))


def describe(values: Sequence[float] | Floats) -> Summary:
    """Summary of ``values`` without an interval."""
    array = np.asarray(values, dtype=np.float64)
    return Summary(
        n=len(array),
        p50=quantile(array, 0.5),
        p50_interval=None,
        p95=quantile(array, 0.95),
        p99=quantile(array, 0.99),
        minimum=float(array.min()) if len(array) else None,
        maximum=float(array.max()) if len(array) else None,
        mean=float(array.mean()) if len(array) else None,
    )
