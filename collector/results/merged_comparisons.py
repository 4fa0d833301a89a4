"""Every target against the baseline over all hosts, both sides of a host together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from collector.reports.merged import MergedComparisonRow
from collector.results.comparisons import Compared, Comparer, unlike, verdict
from collector.results.density import Ramp
from collector.results.footprint import Footprint
from collector.results.groups import Place, by_subject
from collector.results.startup import StartupSample
from collector.results.subjects import Key, Subjects
from collector.stats.compare_hosts import Pair, compare_figures_over_hosts, compare_over_hosts
from collector.stats.disagreement import odd_ones
from collector.stats.verdict import Comparison


@dataclass(frozen=True, slots=True)
class _Sided:
    """A host's comparison, by its baseline: what comparisons are grouped by."""

    key: Key
    compared: Compared


class MergedComparer:
    """Compares over the hosts of one run what was compared on each of them."""

    def __init__(
        self,
        comparer: Comparer,
        subjects: Subjects,
        samples: Sequence[StartupSample],
        ramps: Sequence[Ramp],
        footprints: Sequence[Footprint],
    ) -> None:
        self._comparer = comparer
        self._subjects = subjects
        self._samples = {(sample.key, sample.concurrency): sample for sample in samples}
        self._limits = {ramp.key: float(ramp.limit) for ramp in ramps if ramp.limit}
        self._slopes = {
            (f"footprint.{each.estimator}", each.key): each.cost.value
            for each in footprints
            if each.cost.value is not None and each.cost.value > 0
        }

    def rows(self, own: Sequence[Compared]) -> Iterator[MergedComparisonRow]:
        """A row for each comparison that some host made; ``own`` are the hosts'."""
        groups = by_subject(
            [_Sided(compared.baseline, compared) for compared in own], self._subjects, self._part
        )
        for place, group in groups.items():
            yield self._row(place, [sided.compared for sided in group])

    def _part(self, sided: _Sided) -> tuple[object, ...]:
        compared = sided.compared
        candidate = compared.candidate
        kind = self._subjects.kind(candidate)
        return compared.metric, compared.concurrency, candidate.target_id, kind

    def _row(self, place: Place, own: Sequence[Compared]) -> MergedComparisonRow:
        metric, level, candidate = own[0].metric, own[0].concurrency, own[0].candidate
        found, hosts = self._compare(own)
        kind = self._subjects.kind(candidate)
        ratios = [each.found.ratio for each in own if each.found.ratio is not None]
        told = Counter(
            verdict(metric, each.found.direction)
            for each in own
            if each.found.n_baseline and each.found.n_candidate
        )
        return MergedComparisonRow(
            metric=metric,
            baseline=place.kind,
            candidate=kind,
            concurrency=level,
            hosts=hosts,
            ratio=found.ratio,
            ci=found.interval,
            p_value=found.p_value,
            n_baseline=found.n_baseline,
            n_candidate=found.n_candidate,
            verdict=verdict(metric, found.direction),
            reason=found.reason + unlike(place.kind, kind),
            host_ratios=(min(ratios), max(ratios)) if ratios else None,
            host_verdicts=dict(told.most_common()),
            odd_hosts=_odd(own),
        )

    def _compare(self, own: Sequence[Compared]) -> tuple[Comparison, int]:
        """What was found, and of how many hosts."""
        metric = own[0].metric
        if metric == "startup.total":
            pairs = [self._pair(each) for each in own]
            found = compare_over_hosts(
                pairs,
                seed=self._comparer.seed,
                minimum_effect=self._comparer.minimum_effect,
            )
            return found, sum(bool(pair.baseline and pair.candidate) for pair in pairs)
        if metric == "density.instances":
            return self._figures([self._limit_pair(each) for each in own], "total")
        return self._figures([self._slope_pair(each) for each in own], "median")

    def _pair(self, each: Compared) -> Pair:
        level = each.concurrency or 0
        base = self._samples[each.baseline, level]
        candidate = self._samples[each.candidate, level]
        return Pair(
            base.seconds("total"), candidate.seconds("total"), base.missing, candidate.missing
        )

    def _limit_pair(self, each: Compared) -> tuple[float | None, float | None]:
        return self._limits.get(each.baseline), self._limits.get(each.candidate)

    def _slope_pair(self, each: Compared) -> tuple[float | None, float | None]:
        return (
            self._slopes.get((each.metric, each.baseline)),
            self._slopes.get((each.metric, each.candidate)),
        )

    def _figures(
        self,
        pairs: Sequence[tuple[float | None, float | None]],
        statistic: Literal["total", "median"],
    ) -> tuple[Comparison, int]:
        whole = [(base, cand) for base, cand in pairs if base is not None and cand is not None]
        found = compare_figures_over_hosts(
            [base for base, _ in whole],
            [cand for _, cand in whole],
            statistic,
            seed=self._comparer.seed,
            minimum_effect=self._comparer.minimum_effect,
        )
        return found, len(whole)


def _odd(own: Sequence[Compared]) -> list[str]:
    known = [
        (each.baseline.host, each.found.ratio, each.found.interval)
        for each in own
        if each.found.ratio is not None and each.found.interval is not None
    ]
    odd = odd_ones([ratio for _, ratio, _ in known], [interval for _, _, interval in known])
    return [known[i][0] for i in odd]
