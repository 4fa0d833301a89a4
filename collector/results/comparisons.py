"""Every target against the baseline target, on the same host, in the same run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.model import RunData
from collector.reports.model import ComparisonRow, Kind, Verdict
from collector.results.density import Ramp
from collector.results.footprint import Footprint
from collector.results.groups import K
from collector.results.startup import StartupSample
from collector.results.subjects import Key, Subjects
from collector.stats.compare import compare
from collector.stats.slope import compare_slopes
from collector.stats.verdict import MINIMUM_EFFECT, Comparison, Direction
from tonnage.model import Target

_EITHER: dict[Direction, Verdict] = {
    Direction.SAME: "no difference",
    Direction.OPEN: "inconclusive",
}
_TIME: dict[Direction, Verdict] = {
    **_EITHER,
    Direction.LOWER: "faster",
    Direction.HIGHER: "slower",
}
_SIZE: dict[Direction, Verdict] = {
    **_EITHER,
    Direction.LOWER: "smaller",
    Direction.HIGHER: "larger",
}
_FACTORS = ("variant", "mode", "network", "workload", "memory_bytes")


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of two subjects of one host, and what was found."""

    metric: str
    baseline: Key
    candidate: Key
    found: Comparison
    concurrency: int | None = None


class Comparer:
    """Compares within one run, by the rules its spec states."""

    def __init__(self, data: RunData, spec: Mapping[str, Any], effort: float = 1.0) -> None:
        self.seed = data.run.seed
        self.effort = effort
        rules = spec.get("compare") or {}
        self.minimum_effect = _share(rules.get("minimum_effect"))
        self._baselines = {
            host.host: _baseline(host.plan.targets, rules.get("baseline")) for host in data.hosts
        }

    def startup(self, samples: Sequence[StartupSample]) -> Iterator[Compared]:
        """``startup.total`` at each concurrency that both sides ran at."""
        for base, candidate in self.pairs(samples):
            if base.concurrency == candidate.concurrency:
                found = compare(
                    base.seconds("total"),
                    candidate.seconds("total"),
                    seed=self.seed,
                    missing_baseline=base.missing,
                    missing_candidate=candidate.missing,
                    minimum_effect=self.minimum_effect,
                    effort=self.effort,
                )
                level = base.concurrency
                yield Compared("startup.total", base.key, candidate.key, found, level)

    def footprint(self, footprints: Sequence[Footprint]) -> Iterator[Compared]:
        """``footprint.<estimator>`` for each estimator that both sides have."""
        for base, candidate in self.pairs(footprints):
            if base.estimator == candidate.estimator:
                found = compare_slopes(
                    base.cost, candidate.cost, minimum_effect=self.minimum_effect
                )
                metric = f"footprint.{base.estimator}"
                yield Compared(metric, base.key, candidate.key, found)

    def density(self, ramps: Sequence[Ramp]) -> Iterator[Compared]:
        """``density.instances``, which one ramp each can never decide."""
        for base, candidate in self.pairs(ramps):
            ratio = candidate.limit / base.limit if base.limit and candidate.limit else None
            reason = (
                "One ramp each gives a ratio without an interval."
                if ratio is not None
                else "At least one ramp did not find its host's limit."
            )
            found = Comparison(ratio, None, None, 1, 1, Direction.OPEN, reason)
            yield Compared("density.instances", base.key, candidate.key, found)

    def pairs(self, items: Sequence[K]) -> Iterator[tuple[K, K]]:
        """Each item of a host's baseline target with each of another target there."""
        of_host: dict[str, list[K]] = {}
        for item in items:
            of_host.setdefault(item.key.host, []).append(item)
        for host, here in of_host.items():
            for base in here:
                if base.key.target_id == self._baselines.get(host):
                    yield from (
                        (base, other) for other in here if other.key.target_id != base.key.target_id
                    )


def verdict(metric: str, direction: Direction) -> Verdict:
    """A direction in the words of a metric: starts are faster, all else is smaller."""
    return (_TIME if metric.startswith("startup.") else _SIZE)[direction]


def comparison_row(compared: Compared, subjects: Subjects) -> ComparisonRow:
    """The row of one comparison."""
    baseline, candidate = subjects.subject(compared.baseline), subjects.subject(compared.candidate)
    found = compared.found
    return ComparisonRow(
        metric=compared.metric,
        baseline=baseline,
        candidate=candidate,
        concurrency=compared.concurrency,
        ratio=found.ratio,
        ci=found.interval,
        p_value=found.p_value,
        n_baseline=found.n_baseline,
        n_candidate=found.n_candidate,
        verdict=verdict(compared.metric, found.direction),
        reason=found.reason + unlike(baseline, candidate),
    )


def _baseline(targets: Sequence[Target], asked: str | None) -> str | None:
    """The id of the baseline target: by id or runtime as the spec asks, else the first."""
    for target in targets:
        if asked is None or asked in (target.id, target.runtime):
            return target.id
    return targets[0].id if targets else None


def _share(written: str | float | None) -> float:
    """A share as the spec writes it, ``5%``; a plain number is one already."""
    if written is None:
        return MINIMUM_EFFECT
    if isinstance(written, str):
        return float(written.removesuffix("%")) / 100
    return written


def unlike(baseline: Kind, candidate: Kind) -> str:
    """What else differs between the two, which a reader must not overlook."""
    factors = [name for name in _FACTORS if getattr(baseline, name) != getattr(candidate, name)]
    if baseline.runtime != candidate.runtime and "variant" in factors:
        factors.remove("variant")
    if not factors:
        return ""
    listed = ", ".join(
        f"{name.removesuffix('_bytes')} {_told(baseline, name)} against {_told(candidate, name)}"
        for name in factors
    )
    return f" What else differs: {listed}."


def _told(subject: Kind, factor: str) -> str:
    value = getattr(subject, factor)
    return f"{value / 2**20:g} MiB" if factor == "memory_bytes" else str(value)
