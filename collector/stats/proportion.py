"""The interval of a share: how many of those that were asked."""

from __future__ import annotations

from scipy.special import betaincinv

from collector.stats.bootstrap import LEVEL, Interval


def proportion_interval(count: int, of: int) -> Interval:
    """The 95 % interval of ``count`` of ``of``: exact, so never too narrow, also of all or none.

    Source: Clopper and Pearson, Biometrika 26 (1934), 404-413. ``of`` is at least 1.
    """
    tail = (1 - LEVEL) / 2
    low = float(betaincinv(count, of - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return low, high
