"""Which of several hosts are further from the rest than their own intervals allow."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from collector.stats.bootstrap import LEVEL, Interval
from collector.stats.verdict import MINIMUM_EFFECT

CHANCE = 0.01
"""How often hosts that are alike may be called odd, in one set of them."""


def odd_ones(
    values: Sequence[float],
    intervals: Sequence[Interval],
    minimum_effect: float = MINIMUM_EFFECT,
) -> list[int]:
    """Places of the values that lie apart from the middle of all, the furthest first;
    of two, both or none.

    A value is apart when its distance from the median of all exceeds what both
    errors allow (a 95 % interval is taken for 1.96 errors to each side; Bonferroni
    over the values, at ``CHANCE``) and is no trifle beside it (``minimum_effect``).
    """
    if len(values) < 2:
        return []
    where = np.asarray(values, dtype=np.float64)
    ends = np.asarray(intervals, dtype=np.float64)
    errors = (ends[:, 1] - ends[:, 0]) / (2 * ndtri((1 + LEVEL) / 2))
    middle = float(np.median(where))
    if len(where) == 2:
        allowed = np.full(2, math.hypot(*errors) / 2)
    else:  # a median of normal values has pi / 2 times the variance of their mean
        allowed = np.sqrt(errors**2 + math.pi / 2 * (errors**2).mean() / len(where))
    reach = float(ndtri(1 - CHANCE / (2 * len(where)))) * allowed
    apart = np.abs(where - middle)
    trifle = minimum_effect * abs(middle) * (0.5 if len(where) == 2 else 1.0)
    odd = np.flatnonzero((apart > reach) & (apart > trifle))
    return [int(i) for i in sorted(odd, key=lambda i: -apart[i])]
