"""Rows over all hosts: raw starts merged, limits summed, slopes by their median."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from collector.reports.merged import MergedDensityRow, MergedFootprintRow, MergedStartupRow
from collector.reports.rows import PHASES
from collector.results.density import CUT_SHORT, Ramp
from collector.results.footprint import Footprint
from collector.results.groups import Place, by_subject
from collector.results.startup import StartupSample, counts, figures, no_figures
from collector.results.subjects import Subjects
from collector.stats.bootstrap import Floats, Interval
from collector.stats.disagreement import odd_ones
from collector.stats.hosts import merged_median_interval, over_hosts, too_few_hosts
from collector.stats.summary import describe, median_interval, required_samples

_NO_P50 = required_samples(0.5)


def merged_startup(
    samples: Sequence[StartupSample], subjects: Subjects, seed: int, effort: float
) -> list[MergedStartupRow]:
    """A row for each subject and concurrency that was tried, and each phase that was seen."""
    groups = by_subject(samples, subjects, lambda sample: sample.concurrency)
    return [
        row
        for place, group in groups.items()
        if (tried := [sample for sample in group if sample.requested])
        for row in _startup_rows(place, tried, seed, effort)
    ]


def _startup_rows(
    place: Place, samples: Sequence[StartupSample], seed: int, effort: float
) -> Iterator[MergedStartupRow]:
    shared = dict(place.kind) | counts(samples)
    unresolved = sum(sample.unresolved for sample in samples)
    for phase in PHASES:
        found = [(sample.key.host, own) for sample in samples if (own := sample.seconds(phase))]
        n = sum(len(own) for _, own in found)
        if phase == "userspace" and unresolved:
            absent = no_figures(unresolved, shared["ready"], n)
            yield MergedStartupRow(**shared, phase=phase, **absent, **_no_hosts(absent))
        elif found or phase == "total":
            yield MergedStartupRow(
                **shared, phase=phase, **_startup_figures(phase, found, seed, effort)
            )


def _no_hosts(absent: dict[str, Any]) -> dict[str, Any]:
    return {
        "hosts": 0,
        "p50_ci_reason": absent["p50_reason"],
        "host_p50_seconds": None,
        "odd_hosts": [],
    }


def _startup_figures(
    phase: str, found: Sequence[tuple[str, list[float]]], seed: int, effort: float
) -> dict[str, Any]:
    groups = [own for _, own in found]
    summary = describe(np.concatenate(groups) if groups else [])
    reason = summary.p50.reason or too_few_hosts(len(groups))
    medians = [float(np.median(own)) for own in groups]
    return figures(summary) | {
        "p50_ci_seconds": None if reason else merged_median_interval(groups, seed),
        "hosts": len(groups),
        "p50_ci_reason": reason or None,
        "host_p50_seconds": spread(medians),
        "odd_hosts": _odd_starts(found, seed, effort) if phase == "total" else [],
    }


def _odd_starts(found: Sequence[tuple[str, list[float]]], seed: int, effort: float) -> list[str]:
    enough = [(host, own) for host, own in found if len(own) >= _NO_P50]
    medians = [float(np.median(own)) for _, own in enough]
    intervals = [median_interval(own, seed, effort) for _, own in enough]
    return [enough[i][0] for i in odd_ones(medians, intervals)]


def spread(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Least, median and greatest."""
    return (min(values), float(np.median(values)), max(values)) if values else None


def merged_density(ramps: Sequence[Ramp], subjects: Subjects, seed: int) -> list[MergedDensityRow]:
    """A row for each subject that a ramp was made of."""
    groups = by_subject(ramps, subjects)
    return [_density_row(place, group, seed) for place, group in groups.items() if _begun(group)]


def _begun(group: Sequence[Ramp]) -> bool:
    return any(ramp.steps or ramp.result for ramp in group)


def _density_row(place: Place, group: Sequence[Ramp], seed: int) -> MergedDensityRow:
    ends = [ramp.result for ramp in group if ramp.result]
    limits = [float(end.limit_instances) for end in ends]
    short = sum(end.stop_reason in CUT_SHORT for end in ends)
    reason = "no ramp came to its end" if not ends else too_few_hosts(len(ends))
    if short and not reason:
        reason = f"the ramps of {short} of {len(ends)} hosts were cut short of a limit"
    return MergedDensityRow(
        **dict(place.kind),
        hosts=len(ends),
        hosts_at_least=short,
        instances=int(sum(limits)) if ends else None,
        ci=None if reason else over_hosts([limits], _total, seed),
        host_instances=spread(limits),
        median_ci=None if reason else over_hosts([limits], _median, seed),
        reason=reason or None,
    )


def _total(columns: Sequence[Floats]) -> Floats:
    total: Floats = columns[0].sum(axis=1)
    return total


def _median(columns: Sequence[Floats]) -> Floats:
    median: Floats = np.median(columns[0], axis=1)
    return median


def merged_footprint(
    footprints: Sequence[Footprint], subjects: Subjects, seed: int
) -> list[MergedFootprintRow]:
    """A row for each subject and estimator that any host has a figure of."""
    groups = by_subject(footprints, subjects, lambda footprint: footprint.estimator)
    return [
        _footprint_row(place, known, seed)
        for place, group in groups.items()
        if (known := [each for each in group if each.cost.value is not None])
    ]


def _footprint_row(place: Place, known: Sequence[Footprint], seed: int) -> MergedFootprintRow:
    values = [each.cost.value for each in known if each.cost.value is not None]
    reason = too_few_hosts(len(values))
    return MergedFootprintRow(
        **dict(place.kind),
        estimator=known[0].estimator,
        hosts=len(values),
        bytes_per_instance=float(np.median(values)),
        ci_bytes=None if reason else over_hosts([values], _median, seed),
        host_bytes=(min(values), max(values)),
        reason=reason or None,
        odd_hosts=_odd_costs(known),
    )


def _odd_costs(known: Sequence[Footprint]) -> list[str]:
    found: list[tuple[str, float, Interval]] = [
        (each.key.host, each.cost.value, each.cost.interval)
        for each in known
        if each.cost.value is not None and each.cost.interval is not None
    ]
    odd = odd_ones([value for _, value, _ in found], [interval for _, _, interval in found])
    return [found[i][0] for i in odd]
