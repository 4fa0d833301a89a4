"""Two samples on each of several hosts: one ratio, one p-value, one verdict over all hosts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import ndtr, stdtr

from collector.stats.bootstrap import Floats
from collector.stats.compare import tempered, unfit
from collector.stats.hosts import (
    HOSTS_FOR_INTERVAL,
    Pool,
    merged_ratio_interval,
    over_hosts,
    too_few_hosts,
)
from collector.stats.verdict import MINIMUM_EFFECT, Comparison, Direction, band, judge


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides on one host: durations of the ready attempts, and how many never were."""

    baseline: Sequence[float]
    candidate: Sequence[float]
    missing_baseline: int = 0
    missing_candidate: int = 0


def compare_over_hosts(
    pairs: Sequence[Pair], *, seed: int, minimum_effect: float = MINIMUM_EFFECT
) -> Comparison:
    """Compare the pooled medians of both sides over hosts that have samples of both.

    Hosts are resampled first, both sides of one together. With fewer than five
    hosts there is a ratio, without interval or verdict. As on one host, a verdict
    must outlive the attempts that never became ready, on whatever host.
    """
    whole = [pair for pair in pairs if len(pair.baseline) and len(pair.candidate)]
    if not whole:
        reason = "No host has samples of both sides."
        return Comparison(None, None, None, 0, 0, Direction.OPEN, reason)
    base = Pool.of([pair.baseline for pair in whole])
    cand = Pool.of([pair.candidate for pair in whole])
    ordered = [np.sort(base.values), np.sort(cand.values)]
    counts = len(ordered[0]), len(ordered[1])
    problem = unfit(*ordered)
    if problem:
        return Comparison(None, None, None, *counts, Direction.OPEN, problem)
    ratio = cand.median / base.median
    if len(whole) < HOSTS_FOR_INTERVAL:
        reason = too_few_hosts(len(whole))
        return Comparison(ratio, None, None, *counts, Direction.OPEN, reason)
    interval = merged_ratio_interval(base, cand, np.random.default_rng(seed))
    p = stratified_p_value(whole)
    found = Comparison(ratio, interval, p, *counts, *judge(ratio, interval, p, minimum_effect))
    missing = (
        sum(pair.missing_baseline for pair in pairs),
        sum(pair.missing_candidate for pair in pairs),
    )
    return _borne_out(tempered(found, ordered, missing, minimum_effect), whole, minimum_effect)


def _borne_out(found: Comparison, pairs: Sequence[Pair], minimum_effect: float) -> Comparison:
    """The comparison, or an open one where the ratio of not one host bears the verdict out:
    then the mixture of unlike hosts in unequal counts made it (Simpson's paradox)."""
    own = [float(np.median(pair.candidate) / np.median(pair.baseline)) for pair in pairs]
    least, most = band(minimum_effect)
    holds = {
        Direction.LOWER: min(own) < least,
        Direction.HIGHER: max(own) > most,
        Direction.SAME: any(least <= ratio <= most for ratio in own),
        Direction.OPEN: True,
    }[found.direction]
    if holds:
        return found
    reason = (
        f"No host's own ratio bears it out ({min(own):.2f} to {max(own):.2f}): "
        "it comes of unequal counts on unlike hosts."
    )
    return replace(found, direction=Direction.OPEN, reason=reason)


def stratified_p_value(pairs: Sequence[Pair]) -> float:
    """Two-sided p-value that on no host the two sides differ: labels permuted within hosts.

    Van Elteren's combination of the hosts' rank sums (1960), each weighted by
    1 / (its samples + 1), against its permutation distribution, of which mean and
    variance are exact, ties included; over five hosts or more it is near normal.
    """
    from scipy.stats import rankdata  # long to import, and every program's start would wait

    excess = variance = 0.0
    for pair in pairs:
        n, m = len(pair.candidate), len(pair.baseline)
        ranks = rankdata(np.concatenate([pair.candidate, pair.baseline]))
        weight = 1 / (n + m + 1)
        excess += weight * float(ranks[:n].sum() - n * ranks.mean())
        variance += weight**2 * n * m / (n + m) * float(ranks.var(ddof=1))
    if variance == 0:
        return 1.0
    return float(2 * ndtr(-abs(excess) / math.sqrt(variance)))


def compare_figures_over_hosts(
    baseline: Sequence[float],
    candidate: Sequence[float],
    statistic: Literal["total", "median"],
    *,
    seed: int,
    minimum_effect: float = MINIMUM_EFFECT,
) -> Comparison:
    """Compare one positive figure a host, such as limits or slopes, paired by host.

    ``statistic`` is ``total``, the ratio of the sums, or ``median``, the median of
    the hosts' own ratios. Hosts are resampled; the p-value is Student's t test of
    the logarithms of the hosts' ratios.
    """
    base, cand = np.asarray(baseline, float), np.asarray(candidate, float)
    hosts = len(base)
    if not hosts:
        reason = "No host has a figure above zero of both sides."
        return Comparison(None, None, None, 0, 0, Direction.OPEN, reason)
    ratios = _ratios_of_totals if statistic == "total" else _median_ratios
    ratio = float(ratios([base[None, :], cand[None, :]])[0])
    if hosts < HOSTS_FOR_INTERVAL:
        return Comparison(ratio, None, None, hosts, hosts, Direction.OPEN, too_few_hosts(hosts))
    interval = over_hosts([base, cand], ratios, seed)  # type: ignore[list-item]
    p = _t_test(np.log(cand / base))
    verdict = judge(ratio, interval, 0.0 if p is None else p, minimum_effect)
    if p is None:
        verdict = verdict[0], "The ratio is the same on every host."
    return Comparison(ratio, interval, p, hosts, hosts, *verdict)


def _ratios_of_totals(columns: Sequence[Floats]) -> Floats:
    found: Floats = columns[1].sum(axis=1) / columns[0].sum(axis=1)
    return found


def _median_ratios(columns: Sequence[Floats]) -> Floats:
    found: Floats = np.median(columns[1] / columns[0], axis=1)
    return found


def _t_test(values: Floats) -> float | None:
    """Two-sided p-value that the mean is 0; None where all values are the same."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    if np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return None
    return float(2 * stdtr(len(values) - 1, -abs(float(values.mean())) / error))
