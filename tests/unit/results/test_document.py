"""The whole result: finished, in progress, partial, empty; and its published schema."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import jsonschema
import pytest

from collector.model import HostFact, RunData
from collector.reports.model import Result, Subject
from collector.results import assemble
from tests.unit.reports.sample import DOCKER, MICROVM, sample_run
from tonnage.model import (
    DensityResult,
    FootprintPoint,
    Mode,
    Outcome,
    Population,
    Problem,
    ProblemKind,
    RunState,
    Stage,
    StartupStage,
    StopReason,
    TargetTrials,
)


def verdicts(result: Result) -> dict[tuple[str, int | None], str]:
    return {(row.metric, row.concurrency): row.verdict for row in result.comparisons}


def of_kind(data: RunData, kind: type) -> list[HostFact]:
    return [fact for fact in data.facts if isinstance(fact.fact, kind)]


def test_the_published_schema_validates_a_result() -> None:
    document = json.loads(assemble(sample_run(("h1", "h2"))).model_dump_json())
    schema = Result.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"surprise": 1}, schema)


def test_a_result_survives_its_own_json() -> None:
    result = assemble(sample_run())
    assert Result.model_validate_json(result.model_dump_json()) == result


def test_the_same_data_give_the_same_result() -> None:
    assert assemble(sample_run()) == assemble(sample_run())


def test_rows_begin_with_their_subject() -> None:
    document = json.loads(assemble(sample_run()).model_dump_json())
    subject = list(Subject.model_fields)
    for part in ("startup", "density", "footprint", "layers"):
        assert all(list(row)[:8] == subject for row in document[part])


def test_each_target_is_compared_with_the_baseline_on_its_own_host() -> None:
    result = assemble(sample_run(("h1", "h2")))
    assert {row.baseline.runtime for row in result.comparisons} == {"docker"}
    assert all(row.baseline.host == row.candidate.host for row in result.comparisons)
    assert {row.baseline.host for row in result.comparisons} == {"h1", "h2"}


def test_the_verdicts_of_a_plain_run() -> None:
    found = verdicts(assemble(sample_run()))
    assert found["startup.total", 1] == "slower"
    assert found["startup.total", 4] == "slower"
    assert found["footprint.mem_available", None] == "larger"
    assert found["footprint.cgroup", None] == "inconclusive"
    assert found["density.instances", None] == "inconclusive"


def test_the_spec_chooses_the_baseline_and_the_minimum_effect() -> None:
    data = sample_run()
    spec = json.dumps({"compare": {"baseline": "qemu-microvm", "minimum_effect": 20}})
    result = assemble(replace(data, run=replace(data.run, spec_json=spec)))
    assert {row.baseline.runtime for row in result.comparisons} == {"qemu-microvm"}
    assert "faster" not in {row.verdict for row in result.comparisons}


def test_footprints_are_slopes_with_their_points() -> None:
    rows = {(r.runtime, r.estimator): r for r in assemble(sample_run()).footprint}
    memory = rows["docker", "mem_available"]
    assert memory.bytes_per_instance == pytest.approx(4.4e6, rel=0.05)
    assert memory.n_points == 9  # the empty host is left out beside three other counts
    assert rows["docker", "disk_base"].ci_bytes == (2_236_416, 2_236_416)
    assert rows["qemu-microvm", "cgroup"].bytes_per_instance is None
    assert ("docker", "vmm_overhead") not in rows


def test_a_density_row_has_limit_forecast_error_and_steps() -> None:
    row = next(r for r in assemble(sample_run()).density if r.runtime == "docker")
    assert (row.instances, row.stop_reason, len(row.steps)) == (340, "memory_budget", 12)
    assert row.forecast_error == pytest.approx(0.0027, abs=1e-3)
    assert [s.instances for s in row.steps] == sorted(s.instances for s in row.steps)


def test_a_ramp_that_reached_its_given_count_is_not_called_a_limit() -> None:
    data = sample_run()
    facts = tuple(
        replace(f, fact=replace(f.fact, stop_reason=StopReason.MAX_INSTANCES))
        if isinstance(f.fact, DensityResult)
        else f
        for f in data.facts
    )
    result = assemble(replace(data, facts=facts))
    ratio = next(r for r in result.comparisons if r.metric == "density.instances")
    assert (ratio.ratio, ratio.verdict) == (None, "inconclusive")
    assert all(row.forecast_error is None for row in result.density)
    assert any("at least 340" in text for text in result.warnings)


@pytest.mark.parametrize("kept", [0, 1, 7, 40, 170])
def test_a_run_in_progress_has_a_result(kept: int) -> None:
    data = sample_run()
    so_far = replace(
        data,
        run=replace(data.run, state=RunState.RUNNING, finished_at_unix_ns=None),
        trials=data.trials[:kept],
        facts=data.facts[: kept // 10],
    )
    result = assemble(so_far)
    assert result.run.finished_at is None
    assert result.warnings[0] == "The run is running: these are the figures so far."
    assert all(
        row.instances is None for row in result.density if not of_kind(so_far, DensityResult)
    )


def test_a_run_whose_host_never_answered_has_a_result() -> None:
    data = sample_run()
    problem = Problem(ProblemKind.UNAVAILABLE, "the agent does not answer")
    lost = replace(data.hosts[0], facts=None, runtimes=(), problem=problem, state=RunState.FAILED)
    run = replace(data.run, state=RunState.FAILED, problem=problem)
    result = assemble(replace(data, run=run, hosts=(lost,), trials=(), facts=()))
    assert result.hosts[0].facts == {}
    told = [text for text in result.warnings if "the agent does not answer" in text]
    assert told == ["h1: the agent does not answer."]
    assert {row.verdict for row in result.comparisons} == {"inconclusive"}


def test_what_a_reader_must_know_is_told() -> None:
    data = sample_run()
    host = replace(data.hosts[0], removed=("i1",), leaked=("i2", "i3"))
    told = "\n".join(assemble(replace(data, hosts=(host,))).warnings)
    assert "say nothing of KVM" in told
    assert "i2, i3" in told
    assert "1 instance had to be removed" in told
    assert "of 20 starts 1 timed out" in told
    assert re.search(r"\(\d+ %\) ran beside foreign load; they are flagged noisy and counted", told)
    assert "no footprint by cgroup" in told
    assert "drop_caches is not allowed here" in told


@pytest.mark.parametrize(("n", "words"), [(1, "1 was cancelled"), (2, "2 were cancelled")])
def test_starts_that_came_to_nothing_are_counted_in_words(n: int, words: str) -> None:
    data = sample_run()
    stopped = [
        replace(row, trial=replace(row.trial, outcome=Outcome.CANCELLED, ready_ns=None))
        for row in data.trials
        if row.trial.population is Population.MEASURED and row.trial.outcome is Outcome.READY
    ][:n]
    told = "\n".join(assemble(replace(data, trials=tuple(stopped))).warnings)
    assert f"of {n} starts {words};" in told


def test_an_a_a_run_is_never_called_different() -> None:
    data = sample_run()
    twin = replace(MICROVM, runtime="docker", id="docker-b")
    trials = TargetTrials("docker", 30), TargetTrials("docker-b", 30)
    stage = Stage("startup", StartupStage(trials, 2, (1,), 60.0))
    plan = replace(data.hosts[0].plan, targets=(DOCKER, twin), stages=(stage,))
    rows = [r for r in data.trials if r.target is DOCKER and r.trial.concurrency == 1]
    half = [replace(r, target=twin) if i % 2 else r for i, r in enumerate(rows)]
    result = assemble(
        replace(data, hosts=(replace(data.hosts[0], plan=plan),), trials=tuple(half), facts=())
    )
    (compared,) = result.comparisons
    assert compared.verdict in ("no difference", "inconclusive")
    assert compared.n_baseline == compared.n_candidate == 30


def test_a_point_with_dead_instances_is_in_no_slope() -> None:
    data = sample_run()
    before = assemble(data).footprint
    facts = [
        replace(f, fact=replace(f.fact, sample=replace(f.fact.sample, alive=7, pss_bytes=10**12)))
        if isinstance(f.fact, FootprintPoint) and (f.fact.repeat, f.fact.sample.instances) == (2, 8)
        else f
        for f in data.facts
    ]
    after = assemble(replace(data, facts=tuple(facts))).footprint
    for old, new in zip(before, after, strict=True):
        fewer = 1 if old.n_points else 0
        assert new.n_points == old.n_points - fewer
        if old.estimator == "pss":
            assert new.bytes_per_instance == pytest.approx(old.bytes_per_instance, rel=0.05)


def test_a_start_that_was_not_what_its_mode_says_is_told_with_how_many() -> None:
    """One cold start found a tenth of its files cached, one warm one lacked a tenth."""
    data = sample_run()
    looked = []
    for row in data.trials:
        shares = (0.0, 0.1) if row.trial.target_id == MICROVM.id else (1.0, 0.9)
        share = shares[row.trial.number == 3 and row.trial.concurrency == 1]
        trial = replace(row.trial, cold_bytes=1000, cold_cached_bytes=int(1000 * share))
        target = replace(row.target, mode=Mode.COLD) if row.target == MICROVM else row.target
        looked.append(replace(row, trial=trial, target=target))
    result = assemble(replace(data, trials=tuple(looked)))
    told = "\n".join(result.warnings)
    assert "1 of 19 cold starts found more than 5% of their files in the page cache" in told
    assert "1 of 60 warm starts found less than 95% of their files in the page cache" in told
    medians = {(row.runtime, row.concurrency): row.cached_share for row in result.startup}
    assert medians["qemu-microvm", 1] == 0
    assert medians["docker", 1] == 1


def test_what_was_not_looked_at_is_no_share_and_no_caution() -> None:
    result = assemble(sample_run())
    assert {row.cached_share for row in result.startup} == {None}
    assert "page cache" not in "\n".join(result.warnings)
