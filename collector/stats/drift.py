"""How a reading moves with time while a number that it depends on varies too."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from collector.stats.bootstrap import LEVEL
from collector.stats.slope import Slope


def drift(at: Sequence[float], y: Sequence[float], count: Sequence[int]) -> Slope:
    """Least squares of ``y`` on time and, where it varies, on ``count``: the slope over time.

    Its 95 % interval comes from the residuals (Student's t) and takes the readings for
    independent of one another.
    """
    times = np.asarray(at, float)
    if len(times) < 2 or np.ptp(times) == 0:
        return Slope(None, None, 0, None, len(times), "fewer than two readings over time")
    columns = [times - times.mean(), np.ones_like(times)]
    if np.ptp(np.asarray(count)) > 0:
        columns.append(np.asarray(count, float) - np.mean(count))
    design = np.column_stack(columns)
    freedom = len(times) - int(np.linalg.matrix_rank(design))
    fitted, *_ = np.linalg.lstsq(design, np.asarray(y, float), rcond=None)
    value = float(fitted[0])
    if freedom < 1:
        reason = "an interval needs more readings than the line has parts"
        return Slope(value, None, 0, None, len(times), reason)
    residual = float(((np.asarray(y, float) - design @ fitted) ** 2).sum()) / freedom
    error = math.sqrt(residual * float(np.linalg.pinv(design.T @ design)[0, 0]))
    reach = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    return Slope(value, error, freedom, (value - reach, value + reach), len(times))
