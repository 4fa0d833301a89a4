"""Two independent samples: ratio of medians, permutation p-value, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from collector.stats.bootstrap import (
    RESAMPLES,
    Floats,
    Interval,
    bca_interval,
    jackknife_medians,
    reduced,
    resampled_medians,
)
from collector.stats.summary import required_samples
from collector.stats.verdict import MINIMUM_EFFECT, Comparison, Direction, band, judge

PERMUTATIONS = 9_999
_DRAWS = 10_000_000  # bounds the work: large samples get fewer permutations
_DRAWS_AT_ONCE = 1_000_000
_TIE_BREAK = 1e-9
_FEWEST = required_samples(0.5)


def compare(
    baseline: Sequence[float] | Floats,
    candidate: Sequence[float] | Floats,
    *,
    seed: int,
    missing_baseline: int = 0,
    missing_candidate: int = 0,
    minimum_effect: float = MINIMUM_EFFECT,
    effort: float = 1.0,
) -> Comparison:
    """Compare the medians of two samples of positive values in one unit.

    ``effort`` is the share of the usual resamples and permutations to make.
    ``missing_*`` are attempts that gave no value because they failed or timed
    out. A verdict must also hold when those of either side are counted as
    slower than everything seen: survivors alone prove nothing.
    """
    ordered = [np.sort(np.asarray(values, dtype=np.float64)) for values in (baseline, candidate)]
    problem = unfit(ordered[0], ordered[1])
    counts = len(baseline), len(candidate)
    if problem:
        return Comparison(None, None, None, *counts, Direction.OPEN, problem)
    rng = np.random.default_rng(seed)
    ratio = float(np.median(ordered[1]) / np.median(ordered[0]))
    interval = ratio_interval(ordered[0], ordered[1], rng, effort)
    p_value = permutation_p_value(ordered[0], ordered[1], rng, effort)
    direction, reason = judge(ratio, interval, p_value, minimum_effect)
    found = Comparison(ratio, interval, p_value, *counts, direction, reason)
    return tempered(found, ordered, (missing_baseline, missing_candidate), minimum_effect)


def unfit(baseline: Floats, candidate: Floats) -> str:
    """Why two ascending samples cannot be compared, in one sentence; empty if they can."""
    if min(len(baseline), len(candidate)) < _FEWEST:
        return (
            f"Too few samples: {len(baseline)} and {len(candidate)}, "
            f"a median needs {_FEWEST} on each side."
        )
    if baseline[0] <= 0 or candidate[0] <= 0:
        return "A duration is not positive, which is a defect of the measurement."
    return ""


def ratio_interval(
    baseline: Floats, candidate: Floats, rng: np.random.Generator, effort: float = 1.0
) -> Interval:
    """95 % BCa bootstrap interval of median(candidate) / median(baseline), both ascending."""
    base, cand = np.log(np.median(baseline)), np.log(np.median(candidate))
    resamples = reduced(RESAMPLES, effort)
    replicates = np.log(resampled_medians(candidate, rng, resamples)) - np.log(
        resampled_medians(baseline, rng, resamples)
    )
    jackknives = [
        np.log(jackknife_medians(candidate)) - base,
        cand - np.log(jackknife_medians(baseline)),
    ]
    low, high = bca_interval(float(cand - base), replicates, jackknives)
    return float(np.exp(low)), float(np.exp(high))


def permutation_p_value(
    baseline: Floats, candidate: Floats, rng: np.random.Generator, effort: float = 1.0
) -> float:
    """Two-sided p-value of |log ratio of medians| when labels are exchanged at random.

    (1 + hits) / (1 + permutations), which keeps its level at any sample size
    (Phipson and Smyth 2010).
    """
    pooled = np.log(np.concatenate([candidate, baseline]))
    split = len(candidate)
    observed = abs(_median_gap(pooled[None, :], split)[0]) * (1 - 1e-12)
    permutations = reduced(int(np.clip(_DRAWS // len(pooled), 999, PERMUTATIONS)), effort)
    hits, done = 0, 0
    while done < permutations:
        rows = min(permutations - done, max(1, _DRAWS_AT_ONCE // len(pooled)))
        shuffled = rng.permuted(np.broadcast_to(pooled, (rows, len(pooled))), axis=1)
        hits += int(np.count_nonzero(np.abs(_median_gap(shuffled, split)) >= observed))
        done += rows
    return (1 + hits) / (1 + permutations)


def _median_gap(rows: Floats, split: int) -> Floats:
    """Difference of medians; the means break ties, of which constant samples are full."""
    ours, theirs = rows[:, :split], rows[:, split:]
    gap: Floats = np.median(ours, axis=1) - np.median(theirs, axis=1)
    gap += _TIE_BREAK * (ours.mean(axis=1) - theirs.mean(axis=1))
    return gap


def tempered(
    found: Comparison, ordered: Sequence[Floats], missing: tuple[int, int], minimum_effect: float
) -> Comparison:
    """The comparison, or an open one where attempts that never ended could undo it."""
    if found.direction is Direction.OPEN or not any(missing):
        return found
    least, most = band(minimum_effect)
    base, cand = np.median(ordered[0]), np.median(ordered[1])
    worst_base, worst_cand = (
        _median_with_slowest(values, n) for values, n in zip(ordered, missing, strict=True)
    )
    holds = {
        Direction.LOWER: worst_cand / base < least,
        Direction.HIGHER: cand / worst_base > most,
        Direction.SAME: worst_cand / base <= most and cand / worst_base >= least,
    }[found.direction]
    if holds:
        return found
    return replace(
        found,
        direction=Direction.OPEN,
        reason=f"{missing[0]} and {missing[1]} attempts never became ready; "
        "counted as the slowest, they could undo the difference seen.",
    )


def _median_with_slowest(ordered: Floats, missing: int) -> float:
    return float(np.median(np.concatenate([ordered, np.full(missing, np.inf)])))
