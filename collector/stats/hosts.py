"""Figures over hosts: hosts are resampled first, then the trials within each.

A host's trials share its hardware and its hour, so they are no independent
witnesses of what another host would do: the hosts are. Source of the two-stage
bootstrap: Davison and Hinkley, Bootstrap Methods and their Application, 1997,
section 3.8 (hierarchical data; both stages with replacement); Field and Welsh,
Bootstrapping clustered data, 2007, show that it never falls short in spread
but exceeds it where clusters are alike. Percentile intervals of few clusters
are too narrow; the tails are moved out as in Hesterberg, What teachers should
know about the bootstrap, 2015, section 5.3 ("expanded percentile interval").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from collector.stats.bootstrap import FEWEST, LEVEL, RESAMPLES, Floats, Interval

HOSTS_FOR_INTERVAL = 5

_DRAWS = 5_000_000  # bounds the work: large samples get fewer resamples
_DRAWS_AT_ONCE = 1_000_000

Hosts = NDArray[np.int64]


def too_few_hosts(hosts: int) -> str:
    """Why there is no interval over so many hosts, in one sentence; empty where there is."""
    if hosts >= HOSTS_FOR_INTERVAL:
        return ""
    noun = "host is" if hosts == 1 else "hosts are"
    return (
        f"{hosts} {noun} too few to be resampled ({HOSTS_FOR_INTERVAL} are needed), "
        "so each host stands alone."
    )


@dataclass(frozen=True, slots=True)
class Pool:
    """The samples of several hosts, none of them empty, as one array."""

    values: Floats
    sizes: Hosts

    @classmethod
    def of(cls, groups: Sequence[Sequence[float] | Floats]) -> Pool:
        """One group for each host."""
        return cls(
            np.concatenate([np.asarray(group, dtype=np.float64) for group in groups]),
            np.array([len(group) for group in groups], dtype=np.int64),
        )

    @property
    def median(self) -> float:
        """Median of the raw samples of all hosts together."""
        return float(np.median(self.values))

    def medians(self, hosts: Hosts, rng: np.random.Generator) -> Floats:
        """The pooled median of each row of ``hosts``: of every host that a row names, as
        often as it does, as many trials as it has are drawn with replacement."""
        starts = np.cumsum(self.sizes) - self.sizes
        of_draw = np.repeat(hosts.ravel(), self.sizes[hosts].ravel())
        within = (rng.random(len(of_draw)) * self.sizes[of_draw]).astype(np.int64)
        drawn = self.values[starts[of_draw] + within]
        ends = np.cumsum(self.sizes[hosts].sum(axis=1)).tolist()
        begins = [0, *ends[:-1]]
        return np.array(
            [_median_of(drawn[a:b]) for a, b in zip(begins, ends, strict=True)], dtype=np.float64
        )


def _median_of(values: Floats) -> float:
    """The median, without what ``np.median`` costs a small array; ``values`` change places."""
    half = len(values) // 2
    values.partition(half)
    upper = float(values[half])
    return upper if len(values) % 2 else (float(values[:half].max()) + upper) / 2


def merged_median_interval(groups: Sequence[Sequence[float] | Floats], seed: int) -> Interval:
    """95 % two-stage bootstrap interval of the pooled median; a group for each of >= 5 hosts."""
    pool = Pool.of(groups)
    rng = np.random.default_rng(seed)
    replicates = _replicates(len(groups), len(pool.values), rng, lambda at: pool.medians(at, rng))
    return expanded_interval(replicates, len(groups))


def merged_ratio_interval(baseline: Pool, candidate: Pool, rng: np.random.Generator) -> Interval:
    """95 % two-stage bootstrap interval of the ratio of pooled medians, candidate / baseline.

    Both pools have the same hosts in the same order, and both sides of a host
    are drawn together: what a host does to both cancels out.
    """
    if len(baseline.sizes) != len(candidate.sizes):
        raise ValueError("both sides need the same hosts")

    def ratios(at: Hosts) -> Floats:
        found: Floats = candidate.medians(at, rng) / baseline.medians(at, rng)
        return found

    size = len(baseline.values) + len(candidate.values)
    replicates = _replicates(len(baseline.sizes), size, rng, ratios)
    return expanded_interval(replicates, len(baseline.sizes))


def over_hosts(
    columns: Sequence[Sequence[float]], statistic: Callable[[Sequence[Floats]], Floats], seed: int
) -> Interval:
    """95 % bootstrap interval of a statistic of one figure a host, or of several: hosts resampled.

    ``columns`` has one value for each host, in the same order; ``statistic``
    gets each column resampled as rows x hosts and answers one value a row.
    """
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    hosts = len(arrays[0])
    rng = np.random.default_rng(seed)
    replicates = _replicates(
        hosts, hosts * len(arrays), rng, lambda at: statistic([values[at] for values in arrays])
    )
    return expanded_interval(replicates, hosts)


def _replicates(
    hosts: int, size: int, rng: np.random.Generator, statistic: Callable[[Hosts], Floats]
) -> Floats:
    """The statistic of as many resamples of the hosts as ``size`` values each allow."""
    resamples = int(np.clip(_DRAWS // size, FEWEST, RESAMPLES))
    at_once = max(1, _DRAWS_AT_ONCE // size)
    chunks = [
        statistic(rng.integers(0, hosts, (min(at_once, resamples - done), hosts)))
        for done in range(0, resamples, at_once)
    ]
    return np.concatenate(chunks)


def expanded_interval(replicates: Floats, hosts: int) -> Interval:
    """The percentile interval with the tails that so few hosts call for."""
    reach = math.sqrt(hosts / (hosts - 1)) * float(stdtrit(hosts - 1, (1 + LEVEL) / 2))
    tail = float(ndtr(-reach))
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)
