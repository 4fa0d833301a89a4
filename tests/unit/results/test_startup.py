"""Start-up rows: what is counted, what is summarised, and how phases are cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collector.model import RunData
from collector.reports.charts.waterfall import shown
from collector.reports.model import StartupRow
from collector.reports.rows import PHASES, SOME, phases_of
from collector.results import assemble
from collector.results.startup import phase_ns
from tests.unit.reports.sample import as_server, sample_run
from tonnage.model import Mode, Outcome, Population


def row(data: RunData, runtime: str, phase: str = "total", concurrency: int = 1) -> StartupRow:
    return next(
        row
        for row in assemble(data).startup
        if (row.runtime, row.phase, row.concurrency) == (runtime, phase, concurrency)
    )


def test_every_outcome_stands_beside_the_quantiles() -> None:
    found = row(sample_run(), "qemu-microvm")
    assert (found.requested, found.ready, found.timed_out, found.n) == (20, 19, 1, 19)
    assert found.p95_seconds is None
    assert found.p95_reason == "p95 needs 60 samples, there are 19"


def test_warm_ups_and_other_populations_are_never_counted() -> None:
    data = sample_run()
    assert row(data, "docker").requested == 60
    odd = tuple(
        replace(r, trial=replace(r.trial, population=Population.PROBE)) for r in data.trials[:30]
    )
    assert row(replace(data, trials=data.trials + odd), "docker").requested == 60


def test_every_attempt_is_a_row_of_its_own() -> None:
    data = sample_run()
    first = next(r for r in data.trials if r.trial.population is Population.MEASURED)
    again = replace(first, trial=replace(first.trial, attempt=2))
    cut = replace(first, trial=replace(first.trial, outcome=Outcome.INTERRUPTED, ready_ns=None))
    trials = tuple(r for r in data.trials if r is not first)
    found = row(replace(data, trials=(*trials, cut, again)), "docker")
    assert (found.requested, found.ready, found.interrupted) == (61, 60, 1)


def test_a_container_has_no_machine_and_no_kernel_phase() -> None:
    result = assemble(sample_run())
    phases = {(r.runtime, r.phase) for r in result.startup}
    assert ("qemu-microvm", "kernel") in phases
    assert not phases & {("docker", "machine"), ("docker", "kernel")}


def test_a_user_space_hidden_by_the_ready_line_is_no_zero() -> None:
    data = sample_run()
    first = next(
        r
        for r in data.trials
        if r.target.runtime == "docker" and r.trial.population is Population.MEASURED
    )
    hidden = replace(first, trial=replace(first.trial, created_ns=first.trial.ready_ns))
    trials = tuple(hidden if r is first else r for r in data.trials)
    found = row(replace(data, trials=trials), "docker", "userspace", first.trial.concurrency)
    assert (found.ready, found.n) == (60, 59)
    assert (found.p50_seconds, found.p50_ci_seconds, found.mean_seconds) == (None, None, None)
    assert (found.min_seconds, found.max_seconds) == (None, None)
    assert found.p50_reason == found.p99_reason
    assert str(found.p50_reason).startswith("not resolved: in 1 of 60 ready starts")


def restored() -> RunData:
    """The sample with its VMs restored from a snapshot instead of booted."""
    data = sample_run()
    rows = []
    for each in data.trials:
        trial, target = each.trial, each.target
        if target.runtime == "qemu-microvm":
            target = replace(target, mode=Mode.RESTORE, variant="private")
            at = trial.kernel_ns
            trial = replace(trial, kernel_ns=None, init_ns=None, restored_ns=at)
        rows.append(replace(each, trial=trial, target=target))
    return replace(data, trials=tuple(rows))


def test_what_is_restored_has_a_phase_of_its_own_and_no_boot() -> None:
    result = assemble(restored())
    machine = {r.phase for r in result.startup if r.runtime == "qemu-microvm"}
    assert machine == {"accept", "create", "restore", "userspace", "total", "cpu"}
    assert "restore" not in {r.phase for r in result.startup if r.runtime == "docker"}
    assert "lack a mark" not in "\n".join(result.warnings)
    trial = next(r.trial for r in restored().trials if r.trial.restored_ns is not None)
    parts = (phase_ns(trial, p) for p in PHASES if p not in ("total", "cpu"))
    assert sum(part or 0 for part in parts) == phase_ns(trial, "total")


def servers() -> RunData:
    """The sample with its VMs as whole servers."""
    data = sample_run()
    return replace(data, trials=tuple(map(as_server, data.trials)))


def test_a_whole_servers_system_has_a_phase_apart_from_its_workload() -> None:
    result = assemble(servers())
    whole = row(sample_run(), "qemu-microvm", "userspace").mean_seconds or 0
    apart = [row(servers(), "qemu-microvm", phase).mean_seconds for phase in ("init", "userspace")]
    assert apart == [pytest.approx(0.9 * whole), pytest.approx(0.1 * whole)]
    assert "init" not in {r.phase for r in result.startup if r.runtime == "docker"}
    assert "lack a mark" not in "\n".join(result.warnings)
    trial = next(r.trial for r in servers().trials if r.trial.unit_ns is not None)
    parts = (phase_ns(trial, p) for p in PHASES if p not in ("total", "cpu"))
    assert sum(part or 0 for part in parts) == phase_ns(trial, "total")


def test_starts_with_and_without_the_mark_of_a_unit_are_told() -> None:
    data = servers()
    first = next(
        r
        for r in data.trials
        if r.trial.unit_ns is not None and r.trial.population is Population.MEASURED
    )
    old = replace(first, trial=replace(first.trial, unit_ns=None))
    trials = tuple(old if r is first else r for r in data.trials)
    (told,) = (t for t in assemble(replace(data, trials=trials)).warnings if "the unit" in t)
    assert ": 1 of 19 ready starts lack a mark of the unit" in told


@pytest.mark.parametrize(
    ("data", "there"),
    [(sample_run(), set()), (restored(), {"restore"}), (servers(), {"init"})],
)
def test_what_some_starts_alone_have_gets_a_column_where_one_had_it(
    data: RunData, there: set[str]
) -> None:
    result = assemble(data)
    assert SOME & set(phases_of(result.startup)) == SOME & set(shown(result.startup)) == there


@pytest.mark.parametrize("runtime", ["docker", "qemu-microvm"])
def test_the_phases_of_one_trial_add_up_to_its_total(runtime: str) -> None:
    trial = next(r.trial for r in sample_run().trials if r.target.runtime == runtime)
    parts = (phase_ns(trial, p) for p in PHASES if p not in ("total", "cpu"))
    assert sum(part or 0 for part in parts) == trial.ready_ns


def test_the_aggregates_are_those_of_the_raw_rows() -> None:
    data = sample_run()
    seconds = [
        r.trial.ready_ns / 1e9
        for r in data.trials
        if r.target.runtime == "docker"
        and r.trial.concurrency == 1
        and r.trial.population is Population.MEASURED
        and r.trial.ready_ns is not None
    ]
    found = row(data, "docker")
    assert found.p50_seconds == pytest.approx(np.quantile(seconds, 0.5))
    assert found.p95_seconds == pytest.approx(np.quantile(seconds, 0.95))


def test_a_planned_level_without_trials_still_has_a_row() -> None:
    data = replace(sample_run(), trials=())
    found = row(data, "qemu-microvm", concurrency=4)
    assert (found.requested, found.n, found.p50_seconds) == (0, 0, None)
    assert found.accelerator == "tcg"
    assert found.p50_reason == "p50 needs 6 samples, there are 0"


def test_a_negative_duration_is_kept_and_told() -> None:
    data = sample_run()
    bad = replace(data.trials[5].trial, accepted_ns=-5, suspect=True)
    trials = (*data.trials[:5], replace(data.trials[5], trial=bad), *data.trials[6:])
    result = assemble(replace(data, trials=trials))
    assert min(r.min_seconds or 0 for r in result.startup if r.phase == "accept") < 0
    assert any("marks out of order or negative" in text for text in result.warnings)
