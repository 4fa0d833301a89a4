"""Where a ramp below a group with a hard memory limit will end, and what shows that it did.

Each start needs, on top of what lives, the most it ever holds at once: a container's
helper of some MiB beside which the idle container is nothing; a VM's whole memory.
With ``a + s n`` held by n instances and a start that needs ``p``, the start beside n
succeeds while ``a + s n + p`` is within the limit L. The first that does not is the
one beside ``floor((L - p - a) / s) + 1``: so many are carried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from agent.experiments.curve import meet
from agent.experiments.forecast import Crossing, NoForecast, fit
from agent.experiments.verdict import Breach, mebibytes
from tonnage.model import DensityStage, Forecast, Sample, StopReason

_WITHOUT_EMPTY = 3
AT_LIMIT = 0.97
"""A share of the limit that only a group in want of memory reaches: page cache that is
left in it is not counted in its peak, and the kernel charges in batches."""
KILLED_NEAR = 0.5
"""Where the kernel also killed, the share of what one instance holds that may be left below the
limit: what it could not give is not counted in the peak."""


def foresee_limit(
    stage_id: str, stage: DensityStage, samples: Sequence[Sample]
) -> Forecast | NoForecast:
    """Forecast the limit from the group's charge over the steps so far.

    The number foretold is that of ``largest_carried``, to one instance whatever the
    step is. Without readings it says why there is none.
    """
    limit = stage.memory_limit_bytes
    if limit is None:
        return NoForecast("there is no memory limit")
    start = start_bytes(stage, samples)
    if start is None:
        return NoForecast("the peak of a start could not be read from the group")
    crossing = meet([(x, -y) for x, y in _points(samples)], -(limit - start))
    if isinstance(crossing, NoForecast):
        return crossing
    at, most = samples[-1].instances, stage.max_instances
    foretold, low, high = (_carried(x, at, most) for x in (crossing.x, crossing.low, crossing.high))
    reason = StopReason.MAX_INSTANCES if _beyond(crossing, most) else StopReason.MEMORY_LIMIT
    return Forecast(stage_id, at, foretold, low, high, reason)


def _carried(x: float, at: int, most: int) -> float:
    return float(most if x + 1 >= most else max(at, math.floor(x) + 1))


def _beyond(crossing: Crossing, most: int) -> bool:
    return math.floor(crossing.x) + 1 > most if math.isfinite(crossing.x) else True


def start_bytes(stage: DensityStage, samples: Sequence[Sample]) -> float | None:
    """What one start needs at its highest, beside those that live: the median over the
    steps so far. ``None`` where the peak was never read.

    With probes a step's highest charge is that of the probe beside the whole fill. Without,
    it is that of the last of the fill, which itself lives on at the measurement.
    """
    steps = [s for s in samples if s.instances and s.group_peak_bytes is not None]
    if not steps:
        return None
    above = median((s.group_peak_bytes or 0) - (s.group_bytes or 0) for s in steps)
    each = _each(samples)
    return max(above, each) if stage.probes else above + each


def _each(samples: Sequence[Sample]) -> float:
    line = fit(_points(samples))
    return 0.0 if isinstance(line, NoForecast) else max(0.0, line.slope)


def _points(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Instances and what they hold. What the first brings once is not the cost of a further
    one: the empty group is left out where the line has three other points."""
    points = [
        (float(s.instances), float(s.group_bytes)) for s in samples if s.group_bytes is not None
    ]
    filled = [point for point in points if point[0]]
    return filled if len({x for x, _ in filled}) >= _WITHOUT_EMPTY else points


def largest_carried(sample: Sample, probe_ready: bool) -> int:
    """How many lived side by side when the kernel took one: those alive and answering at
    the measurement after it, and the step's last probe, if it had become ready beside
    them."""
    return min(sample.alive, sample.answering) + probe_ready


def _of_one(sample: Sample) -> float:
    """What one of those alive holds, on average; 0 where that is not known."""
    return (sample.group_bytes or 0) / sample.alive if sample.alive else 0.0


def blamed(breach: Breach, stage: DensityStage, before: Sample, now: Sample) -> Breach:
    """A failed launch or dead instances as the doing of the hard limit, where the group shows
    that its charge was at the limit, or that the kernel killed with too little left for one
    more; where it keeps no mark of its peak, that the kernel killed (it counts on the whole
    host where it cannot in the group, so kills alone are weaker).
    Else something else was the matter, and only the evidence is added."""
    limit = stage.memory_limit_bytes
    if limit is None or breach.reason not in (
        StopReason.LAUNCH_FAILED,
        StopReason.INSTANCES_DIED,
    ):
        return breach
    kills = (now.oom_kills or 0) - (before.oom_kills or 0)
    peak = now.group_peak_bytes
    full = kills > 0
    if peak is not None:
        left = KILLED_NEAR * _of_one(before) if full else 0.0
        full = peak >= min(AT_LIMIT * limit, limit - left)
    told = (
        f"{breach.constraint.rstrip('.')}; the memory group of {mebibytes(limit)} held"
        f" {mebibytes(now.group_bytes)}, at its highest {mebibytes(peak)},"
        f" and the kernel killed {max(kills, 0)} for want of memory"
    )
    reason = StopReason.MEMORY_LIMIT if full else breach.reason
    return replace(breach, reason=reason, constraint=told)
