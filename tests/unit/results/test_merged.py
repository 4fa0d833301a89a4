"""Results over several hosts: what is merged, how, and when it is not."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from collector.model import RunData
from collector.reports.merged import Merged, MergedComparisonRow, MergedStartupRow
from collector.reports.model import Result
from collector.results import assemble
from tests.unit.reports.sample import DOCKER, sample_fleet, sample_run
from tonnage.model import (
    DensityResult,
    Outcome,
    Population,
    RunState,
    Stage,
    StartupStage,
    StopReason,
    TargetTrials,
)

SIX = tuple(f"h{n}" for n in range(1, 7))


def merged(result: Result) -> Merged:
    assert result.merged is not None
    return result.merged


def start(found: Merged, runtime: str = "docker", level: int = 1) -> MergedStartupRow:
    (row,) = [
        row
        for row in found.startup
        if (row.runtime, row.concurrency, row.phase) == (runtime, level, "total")
    ]
    return row


def compared(found: Merged, metric: str) -> MergedComparisonRow:
    return next(row for row in found.comparisons if row.metric == metric)


@pytest.fixture(scope="module")
def data() -> RunData:
    return sample_run(SIX)


@pytest.fixture(scope="module")
def six(data: RunData) -> Result:
    return assemble(data)


@pytest.fixture(scope="module")
def fleet() -> Result:
    return assemble(sample_fleet(10))


def test_a_run_on_one_host_has_nothing_merged() -> None:
    assert assemble(sample_run()).merged is None


def test_the_published_schema_validates_a_merged_result(six: Result) -> None:
    document = json.loads(six.model_dump_json())
    jsonschema.validate(document, Result.model_json_schema())
    assert document["merged"]["startup"]
    assert Result.model_validate_json(six.model_dump_json()) == six


def test_quantiles_are_of_the_raw_samples_of_all_hosts(data: RunData, six: Result) -> None:
    raw = [
        row.trial.ready_ns / 1e9
        for row in data.trials
        if row.target is DOCKER
        and row.trial.population is Population.MEASURED
        and row.trial.concurrency == 1
        and row.trial.ready_ns is not None
    ]
    row = start(merged(six))
    assert (row.hosts, row.n, row.requested) == (6, len(raw), 360)
    assert row.p50_seconds == pytest.approx(np.median(raw))
    assert row.p95_seconds == pytest.approx(np.quantile(raw, 0.95))
    assert row.p99_seconds is not None  # which no host has enough samples for alone
    own = [r for r in six.startup if r.phase == "total" and r.runtime == "docker"]
    assert all(r.p99_seconds is None for r in own)


def test_with_five_hosts_a_median_has_an_interval_that_resamples_hosts(six: Result) -> None:
    row = start(merged(six))
    assert row.p50_ci_seconds is not None
    assert row.p50_seconds is not None
    assert row.p50_ci_seconds[0] < row.p50_seconds < row.p50_ci_seconds[1]
    assert row.p50_ci_reason is None


@pytest.mark.parametrize("hosts", [2, 4])
def test_with_fewer_each_host_stands_alone_and_a_sentence_says_why(hosts: int) -> None:
    result = assemble(sample_run(SIX[:hosts]))
    row = start(merged(result))
    assert row.p50_seconds is not None
    assert row.p50_ci_seconds is None
    assert f"{hosts} hosts are too few to be resampled" in (row.p50_ci_reason or "")
    assert all(found.ci is None for found in merged(result).density)
    assert all(found.ci_bytes is None and found.reason for found in merged(result).footprint)
    judged = merged(result).comparisons
    assert {found.verdict for found in judged} == {"inconclusive"}
    assert compared(merged(result), "startup.total").host_verdicts == {"slower": hosts}
    assert any("too few to be resampled" in text for text in result.warnings)


def test_both_sides_of_a_host_are_compared_over_hosts(six: Result) -> None:
    row = compared(merged(six), "startup.total")
    assert (row.baseline.runtime, row.candidate.runtime) == ("docker", "qemu-microvm")
    assert (row.verdict, row.hosts) == ("slower", 6)
    assert row.ratio is not None
    assert row.ci is not None
    assert row.ci[0] < row.ratio < row.ci[1]
    assert row.host_verdicts == {"slower": 6}
    own = [r for r in six.comparisons if r.metric == "startup.total" and r.concurrency == 1]
    assert row.host_ratios == (min(r.ratio or 0 for r in own), max(r.ratio or 0 for r in own))


def test_slopes_are_never_averaged_but_their_median_is_given(six: Result) -> None:
    own = [
        row.bytes_per_instance
        for row in six.footprint
        if (row.runtime, row.estimator) == ("docker", "mem_available")
    ]
    (row,) = [
        row
        for row in merged(six).footprint
        if (row.runtime, row.estimator) == ("docker", "mem_available")
    ]
    assert row.bytes_per_instance == pytest.approx(np.median([each or 0.0 for each in own]))
    assert row.host_bytes == (min(each or 0 for each in own), max(each or 0 for each in own))
    assert row.ci_bytes is not None
    assert compared(merged(six), "footprint.mem_available").verdict == "larger"


def limits(data: RunData, found: dict[str, int], reason: StopReason | None = None) -> RunData:
    """The run with other limits of the containers' ramps."""

    def other(host: str, fact: object) -> object:
        if not isinstance(fact, DensityResult) or fact.stage_id != "density/docker":
            return fact
        return replace(fact, limit_instances=found[host], stop_reason=reason or fact.stop_reason)

    facts = tuple(replace(f, fact=other(f.host, f.fact)) for f in data.facts)  # type: ignore[arg-type]
    return replace(data, facts=facts)


def test_limits_are_summed_and_their_spread_shown(data: RunData) -> None:
    found = dict(zip(SIX, (300, 310, 320, 330, 340, 400), strict=True))
    row = next(r for r in merged(assemble(limits(data, found))).density if r.runtime == "docker")
    assert (row.instances, row.hosts, row.hosts_at_least) == (2000, 6, 0)
    assert row.host_instances == (300, 325, 400)
    assert row.ci is not None
    assert row.ci[0] < 2000 < row.ci[1]


def test_a_sum_of_ramps_cut_short_has_no_interval(data: RunData) -> None:
    row = next(
        r
        for r in merged(
            assemble(limits(data, dict.fromkeys(SIX, 200), StopReason.MAX_INSTANCES))
        ).density
        if r.runtime == "docker"
    )
    assert (row.instances, row.hosts_at_least, row.ci) == (1200, 6, None)
    assert "cut short" in (row.reason or "")


def test_an_a_a_over_hosts_keeps_its_targets_apart_and_finds_nothing(data: RunData) -> None:
    twin = replace(DOCKER, id="docker-b")
    stage = Stage(
        "startup",
        StartupStage((TargetTrials("docker", 30), TargetTrials("docker-b", 30)), 0, (1,), 60.0),
    )
    plan = replace(data.hosts[0].plan, targets=(DOCKER, twin), stages=(stage,))
    rows = [r for r in data.trials if r.target is DOCKER and r.trial.concurrency == 1]
    half = [replace(r, target=twin) if i % 2 else r for i, r in enumerate(rows)]
    hosts = tuple(replace(host, plan=plan) for host in data.hosts)
    found = merged(assemble(replace(data, hosts=hosts, trials=tuple(half), facts=())))
    (row,) = found.comparisons
    assert row.n_baseline == row.n_candidate == 180
    assert row.verdict in ("no difference", "inconclusive")


def test_a_host_that_is_unlike_the_rest_is_named(fleet: Result) -> None:
    assert start(merged(fleet)).odd_hosts[0] == "h02"
    told = next(text for text in fleet.warnings if text.startswith("docker, 1 in flight: the"))
    assert "h02" in told
    assert "disagree more than their intervals allow" in told


def test_hosts_that_were_lost_are_named_with_their_reason(fleet: Result) -> None:
    told = "\n".join(fleet.warnings)
    assert "8 of 10 hosts came to the end of their plan; h09 and h10 did not" in told
    assert "h09 measured nothing and is in no figure." in told
    assert "h10: lost: not heard of for 120 s." in told
    assert {host.host: host.measured for host in fleet.hosts}["h09"] is False
    assert start(merged(fleet)).hosts == 9  # what the lost host left is in it
    assert start(merged(fleet), level=4).hosts == 8


def test_a_caution_of_many_hosts_is_said_once(fleet: Result) -> None:
    tcg = [text for text in fleet.warnings if "say nothing of KVM" in text]
    assert len(tcg) == 1
    assert tcg[0].startswith("h01, h02, h03, h04, h05 and 4 more: ")
    assert len(fleet.warnings) < 45


def kept(data: RunData, counts: dict[str, int]) -> RunData:
    """The run with so many containers started on each host, one at a time, and nothing else."""
    rows = [
        row
        for row in data.trials
        if row.target is DOCKER
        and row.trial.population is Population.MEASURED
        and row.trial.concurrency == 1
        and row.trial.number < counts.get(row.host, 0)
    ]
    return replace(data, trials=tuple(rows), facts=())


def test_a_host_that_outweighs_all_others_is_named(data: RunData) -> None:
    uneven = assemble(kept(data, dict.fromkeys(SIX, 5) | {"h2": 60}))
    (told,) = [text for text in uneven.warnings if "mostly its own" in text]
    assert told.startswith("docker, 1 in flight: 60 of 85 ready starts are of h2, ")
    for even in (dict.fromkeys(SIX, 5), {"h1": 60, "h2": 31}, {"h1": 60}):
        assert "mostly its own" not in "".join(assemble(kept(data, even)).warnings)


def test_hosts_of_which_none_measured_are_not_called_too_few(data: RunData) -> None:
    hosts = tuple(replace(host, state=RunState.FAILED) for host in data.hosts)
    run = replace(data.run, state=RunState.FAILED)
    told = assemble(replace(data, run=run, hosts=hosts, trials=(), facts=())).warnings
    assert "0 of 6 hosts came to the end of their plan; h1, h2, h3, h4, h5 and h6 did not." in told
    assert not any("too few to be resampled" in text for text in told)


def test_how_far_apart_hosts_began_is_in_the_result(fleet: Result) -> None:
    assert fleet.run.start_skew_seconds == 0.0123


def test_a_failing_host_weakens_the_verdict_over_all(data: RunData) -> None:
    """Where the faster side failed on most hosts, survivors do not win."""
    broken = tuple(
        replace(row, trial=replace(row.trial, outcome=Outcome.FAILED, ready_ns=None))
        if row.target is DOCKER and row.host != "h1" and row.trial.number > 5
        else row
        for row in data.trials
    )
    found = merged(assemble(replace(data, trials=broken)))
    row = compared(found, "startup.total")
    assert row.verdict == "inconclusive"
    assert "never became ready" in row.reason


def test_a_host_that_said_nothing_is_no_subject_of_its_own(fleet: Result) -> None:
    assert {row.accelerator for row in fleet.startup if row.runtime == "qemu-microvm"} == {"tcg"}
