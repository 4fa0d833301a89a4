"""What starts found in the page cache, beside what their mode says."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from tonnage.model import Mode, Outcome, Trial

TOLERANCE = 0.05
"""A cold start that finds more than this share of its files cached, or any other that finds
less than all but this share, is none of its mode."""


def cached_share(trial: Trial) -> float | None:
    """The share of its files that the page cache held right before it."""
    if not trial.cold_bytes or trial.cold_cached_bytes is None:
        return None
    return trial.cold_cached_bytes / trial.cold_bytes


def median_share(trials: Iterable[Trial]) -> float | None:
    """The median over the ready ones; ``None`` where none was looked at."""
    return median(shares) if (shares := _shares(trials)) else None


def unlike(mode: Mode, trials: Iterable[Trial]) -> str:
    """How many ready starts were not what their mode says; empty if all were."""
    shares = _shares(trials)
    if mode is Mode.COLD:
        odd = [share for share in shares if share > TOLERANCE]
        told = f"more than {TOLERANCE:.0%} of their files in the page cache"
        far = max(odd, default=0.0)
    else:
        odd = [share for share in shares if share < 1 - TOLERANCE]
        told = f"less than {1 - TOLERANCE:.0%} of their files in the page cache"
        far = min(odd, default=0.0)
    if not odd:
        return ""
    return f"{len(odd)} of {len(shares)} {mode.value} starts found {told} (up to {far:.0%})"


def _shares(trials: Iterable[Trial]) -> list[float]:
    found = (cached_share(t) for t in trials if t.outcome is Outcome.READY)
    return [share for share in found if share is not None]
