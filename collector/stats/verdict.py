"""When a ratio with its interval may be called a difference. The rule is ADR 5's.

==============  ==============================================================
lower, higher   the interval excludes 1, the p-value is below 0.05, and the
                ratio lies beyond the minimum effect
same            the whole interval lies within the minimum effect of 1
open            anything else
==============  ==============================================================

The minimum effect m makes the band 1/(1+m) to 1+m, so that swapping baseline
and candidate never changes a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from collector.stats.bootstrap import Interval

MINIMUM_EFFECT = 0.05
SIGNIFICANCE = 0.05


class Direction(Enum):
    """Where the candidate stands against the baseline."""

    LOWER = "lower"
    HIGHER = "higher"
    SAME = "same"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate against baseline: ``ratio`` is candidate / baseline."""

    ratio: float | None
    interval: Interval | None
    p_value: float | None
    n_baseline: int
    n_candidate: int
    direction: Direction
    reason: str


def band(minimum_effect: float) -> Interval:
    """Ratios too near 1 to matter."""
    return 1 / (1 + minimum_effect), 1 + minimum_effect


def judge(
    ratio: float, interval: Interval, p_value: float, minimum_effect: float = MINIMUM_EFFECT
) -> tuple[Direction, str]:
    """Verdict on a ratio, with one sentence of reason."""
    low, high = interval
    least, most = band(minimum_effect)
    effect = f"{minimum_effect * 100:g} %"
    if least <= low and high <= most:
        return Direction.SAME, f"The whole 95 % interval lies within {effect} of no difference."
    if low <= 1 <= high:
        return Direction.OPEN, (
            f"The 95 % interval holds both no difference and one beyond {effect}: "
            "more trials would decide."
        )
    if p_value >= SIGNIFICANCE:
        return Direction.OPEN, f"The difference may be chance (p = {p_value:.2g})."
    if least <= ratio <= most:
        return Direction.OPEN, (
            f"There is a difference, but whether it reaches the minimum effect of {effect} is open."
        )
    side = Direction.LOWER if ratio < 1 else Direction.HIGHER
    return side, (
        f"The 95 % interval excludes no difference and the ratio lies beyond {effect} "
        f"({_chance(p_value)})."
    )


def _chance(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
