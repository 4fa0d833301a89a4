"""Between which levels a density ramp's limit lies, and which level to try next.

The ramp climbs by its step until a level fails; then it halves the gap between
the largest level that held and the smallest that failed, until the two are no
further apart than the declared resolution. A limit that lies in the middle of a
step of 8 is found to 1 with three levels more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tonnage.model import DensityStage


@dataclass(frozen=True, slots=True)
class Bracket:
    """The largest level at which every demand held, the smallest at which one did not."""

    held: int = 0
    failed: int | None = None

    def next_level(self, stage: DensityStage) -> int | None:
        """The level to try next; ``None`` when the limit is known, or the cap is reached.

        Levels between two steps lie on multiples of the resolution above ``held``.
        """
        if self.failed is None:
            above = min(self.held + stage.step, stage.max_instances)
            return above if above > self.held else None
        gap = self.failed - self.held
        if gap <= stage.resolution:
            return None
        return self.held + stage.resolution * max(1, gap // (2 * stage.resolution))


def last_level_held(stage: DensityStage, x: float) -> int:
    """Where a ramp ends whose demands hold up to ``x`` instances and not beyond."""
    if x >= stage.max_instances:
        return stage.max_instances
    reached = math.floor(max(x, 0.0))
    below = reached - reached % stage.step
    return below + (reached - below) // stage.resolution * stage.resolution
