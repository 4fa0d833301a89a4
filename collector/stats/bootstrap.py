"""Bootstrap intervals of medians: exact resampling through order statistics, and BCa.

Source of both: Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
sections 14.3 (BCa) and 11 (jackknife influence).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]
Interval = tuple[float, float]

RESAMPLES = 9_999
FEWEST = 499
LEVEL = 0.95


def reduced(count: int, effort: float) -> int:
    """A share of so many resamples or permutations, and no fewer than ``FEWEST`` of them."""
    return max(min(count, FEWEST), int(count * effort))


def resampled_medians(
    ordered: Floats, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Floats:
    """Medians of ``resamples`` bootstrap samples of ``ordered`` (ascending, not empty).

    A bootstrap sample takes item ``floor(n U)`` for each of n uniform U, so its
    k-th smallest is item ``floor(n U_(k))``, and ``U_(k)`` is Beta(k, n - k + 1):
    the median is drawn at once, at a cost that does not grow with n.
    """
    n = len(ordered)
    k = (n + 1) // 2
    lower = rng.beta(k, n - k + 1, resamples)
    if n % 2:
        return ordered[_index(lower, n)]
    # Given U_(k), the n - k above it are uniform on (U_(k), 1), and U_(k+1) is their least.
    upper = lower + (1 - lower) * rng.beta(1, n - k, resamples)
    return (ordered[_index(lower, n)] + ordered[_index(upper, n)]) / 2


def _index(uniform: Floats, n: int) -> NDArray[np.int64]:
    return np.minimum((uniform * n).astype(np.int64), n - 1)


def jackknife_medians(ordered: Floats) -> Floats:
    """The n medians of ``ordered`` (ascending, n >= 2) with one item left out."""
    n = len(ordered)
    half = n // 2
    left_out = np.arange(n)
    medians: Floats
    if n % 2 == 0:
        medians = np.where(left_out < half, ordered[half], ordered[half - 1])
        return medians
    below = (ordered[half] + ordered[half + 1]) / 2
    above = (ordered[half - 1] + ordered[half]) / 2
    itself = (ordered[half - 1] + ordered[half + 1]) / 2
    medians = np.select([left_out < half, left_out > half], [below, above], itself)
    return medians


def bca_interval(
    estimate: float, replicates: Floats, jackknives: Sequence[Floats], level: float = LEVEL
) -> Interval:
    """Bias-corrected and accelerated interval; ``jackknives`` has one array for each sample.

    Where every replicate is the same, the interval is that one value.
    """
    if np.ptp(replicates) == 0:
        return float(replicates[0]), float(replicates[0])
    bias = ndtri(_share_below(estimate, replicates))
    tails = ndtri(np.array([(1 - level) / 2, (1 + level) / 2])) + bias
    shares = ndtr(bias + tails / (1 - _acceleration(jackknives) * tails))
    low, high = np.quantile(replicates, shares)
    return float(low), float(high)


def _share_below(estimate: float, replicates: Floats) -> float:
    """Share of replicates below the estimate, ties counted half, never 0 or 1."""
    below = np.count_nonzero(replicates < estimate)
    equal = np.count_nonzero(replicates == estimate)
    return float((below + equal / 2 + 0.5) / (len(replicates) + 1))


def _acceleration(jackknives: Sequence[Floats]) -> float:
    skew = spread = 0.0
    for values in jackknives:
        influence = (len(values) - 1) / len(values) * (values.mean() - values)
        skew += float((influence**3).sum())
        spread += float((influence**2).sum())
    scale = 6 * spread**1.5  # may underflow to nought on all but constant data
    return skew / scale if scale > 0 else 0.0
