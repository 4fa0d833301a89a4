"""An interval of a ratio from the intervals of its two sides, when the raw values are away.

Source: Zou and Donner (2008), Construction of confidence limits about effect
measures: a general approach (the method of variance estimates recovery), on logarithms.
"""

from __future__ import annotations

import math

from collector.stats.bootstrap import Interval

OpenInterval = tuple[float | None, float | None]


def ratio_interval(
    numerator: float, of_numerator: Interval, denominator: float, of_denominator: Interval
) -> OpenInterval | None:
    """Interval of ``numerator / denominator`` at the level of both intervals, sides independent.

    An end is None where a side's own interval reaches zero, as the ratio has no
    bound there. None where the ratio itself has no meaning: a side is negative,
    or the denominator is not above zero.
    """
    if denominator <= 0 or numerator < 0:
        return None
    if numerator == 0:
        return (0.0, 0.0) if of_numerator == (0, 0) else None
    middle = math.log(numerator / denominator)
    low = _distance(numerator, of_numerator[0], denominator, of_denominator[1])
    high = _distance(numerator, of_numerator[1], denominator, of_denominator[0])
    return (
        None if low is None else math.exp(middle - low),
        None if high is None else math.exp(middle + high),
    )


def _distance(numerator: float, its_end: float, denominator: float, its: float) -> float | None:
    if its_end <= 0 or its <= 0:
        return None
    return math.hypot(math.log(its_end / numerator), math.log(its / denominator))
