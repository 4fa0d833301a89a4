"""Whether other programs' memory moved beneath a ramp or a footprint series.

Both trust the host's available memory, which also falls and rises with what
other programs take and free. The rule: the figures are in doubt where foreign
memory was anywhere more than ``DOUBTFUL_SHARE`` of the memory used away from
what it was on the empty host. Nothing is corrected by it, and nothing left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collector.reports import figures
from tonnage.model import FootprintPoint, Sample, Step

DOUBTFUL_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Drift:
    """How far foreign memory went from the empty host's, beside what was used; bytes.

    ``used_bytes`` is the fall of available memory, below zero where it rose.
    """

    change_bytes: int
    used_bytes: int

    @property
    def share(self) -> float:
        """The change as a share of the memory used; without bound where none was."""
        if self.used_bytes > 0:
            return abs(self.change_bytes) / self.used_bytes
        return float("inf") if self.change_bytes else 0.0

    @property
    def doubtful(self) -> bool:
        """Whether what was found by available memory is in doubt."""
        return self.share > DOUBTFUL_SHARE

    def told(self, user: str) -> str:
        """The part of a sentence: how it went while ``user`` (the ramp) used so much."""
        way = "grew" if self.change_bytes > 0 else "fell"
        used = figures.size(self.used_bytes) if self.used_bytes > 0 else "none"
        change = figures.size(abs(self.change_bytes))
        return f"other programs' memory {way} by {change} while {user} used {used}"


def under_ramp(steps: Iterable[Step], limit: int | None) -> Drift | None:
    """Over all steps, beside what was used at the limit.

    Without a limit, or with one of 0, beside what the largest level used.
    ``None`` where foreign or available memory is unknown, or nothing was filled.
    """
    samples = [step.sample for step in sorted(steps, key=lambda step: step.number)]
    at_limit = [sample for sample in samples if limit and sample.instances == limit]
    return _drift(samples, at_limit)


def under_series(points: Iterable[FootprintPoint]) -> Drift | None:
    """The repeat with the largest share, beside what its largest count used.

    Repeats are judged one by one, since the slope has an intercept for each.
    """
    repeats: dict[int, list[Sample]] = {}
    for point in points:
        repeats.setdefault(point.repeat, []).append(point.sample)
    found = [drift for samples in repeats.values() if (drift := _drift(samples, ()))]
    return max(found, key=lambda drift: drift.share, default=None)


def _drift(samples: Sequence[Sample], at: Sequence[Sample]) -> Drift | None:
    """``samples`` in the order measured; ``at``: where to look what was used."""
    if not samples or samples[0].instances:
        return None
    empty, filled = samples[0], samples[1:]
    changes = [
        sample.foreign_bytes - empty.foreign_bytes
        for sample in filled
        if sample.foreign_bytes is not None and empty.foreign_bytes is not None
    ]
    full = max(at or filled, key=lambda sample: sample.instances, default=empty)
    if not changes or empty.mem_available_bytes is None or full.mem_available_bytes is None:
        return None
    used = empty.mem_available_bytes - full.mem_available_bytes
    return Drift(max(changes, key=abs), used)
