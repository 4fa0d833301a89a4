"""Every target against the baseline target, on the same host, in the same run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from collector.model import RunData
from collector.reports.model import ComparisonRow, Subject, Verdict
from collector.results.density import Ramp
from collector.results.footprint import Footprint
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


class _Keyed(Protocol):
    @property
    def key(self) -> Key: ...


K = TypeVar("K", bound=_Keyed)


class Comparer:
    """Compares within one run, by the rules its spec states."""

    def __init__(self, data: RunData, spec: Mapping[str, Any], subjects: Subjects) -> None:
        self._subjects = subjects
        self._seed = data.run.seed
        rules = spec.get("compare") or {}
        self._effect = _share(rules.get("minimum_effect"))
        self._baselines = {
            host.host: _baseline(host.plan.targets, rules.get("baseline")) for host in data.hosts
        }

    def startup(self, samples: Sequence[StartupSample]) -> Iterator[ComparisonRow]:
        """``startup.total`` at each concurrency that both sides ran at."""
        for base, candidate in self._pairs(samples):
            if base.concurrency == candidate.concurrency:
                found = compare(
                    base.seconds("total"),
                    candidate.seconds("total"),
                    seed=self._seed,
                    missing_baseline=base.missing,
                    missing_candidate=candidate.missing,
                    minimum_effect=self._effect,
                )
                keys = base.key, candidate.key
                yield self._row("startup.total", keys, found, _TIME, base.concurrency)

    def footprint(self, footprints: Sequence[Footprint]) -> Iterator[ComparisonRow]:
        """``footprint.<estimator>`` for each estimator that both sides have."""
        for base, candidate in self._pairs(footprints):
            if base.estimator == candidate.estimator:
                found = compare_slopes(base.cost, candidate.cost, minimum_effect=self._effect)
                keys = base.key, candidate.key
                yield self._row(f"footprint.{base.estimator}", keys, found, _SIZE)

    def density(self, ramps: Sequence[Ramp]) -> Iterator[ComparisonRow]:
        """``density.instances``, which one ramp each can never decide."""
        for base, candidate in self._pairs(ramps):
            ratio = candidate.limit / base.limit if base.limit and candidate.limit else None
            reason = (
                "One ramp each gives a ratio without an interval."
                if ratio is not None
                else "At least one ramp did not find its host's limit."
            )
            found = Comparison(ratio, None, None, 1, 1, Direction.OPEN, reason)
            yield self._row("density.instances", (base.key, candidate.key), found, _SIZE)

    def _pairs(self, items: Sequence[K]) -> Iterator[tuple[K, K]]:
        """Each item of a host's baseline target with each of another target there."""
        for base in items:
            if base.key.target_id == self._baselines.get(base.key.host):
                for candidate in items:
                    if _rivals(base.key, candidate.key):
                        yield base, candidate

    def _row(
        self,
        metric: str,
        keys: tuple[Key, Key],
        found: Comparison,
        words: Mapping[Direction, Verdict],
        concurrency: int | None = None,
    ) -> ComparisonRow:
        baseline, candidate = (self._subjects.subject(key) for key in keys)
        return ComparisonRow(
            metric=metric,
            baseline=baseline,
            candidate=candidate,
            concurrency=concurrency,
            ratio=found.ratio,
            ci=found.interval,
            p_value=found.p_value,
            n_baseline=found.n_baseline,
            n_candidate=found.n_candidate,
            verdict=words[found.direction],
            reason=found.reason + _unlike(baseline, candidate),
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


def _rivals(base: Key, candidate: Key) -> bool:
    return base.host == candidate.host and base.target_id != candidate.target_id


def _unlike(baseline: Subject, candidate: Subject) -> str:
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


def _told(subject: Subject, factor: str) -> str:
    value = getattr(subject, factor)
    return f"{value / 2**20:g} MiB" if factor == "memory_bytes" else str(value)
