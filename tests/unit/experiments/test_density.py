"""The density ramp: its steps, its verdicts, its forecast, its end."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.experiments.base import (
    Destroy,
    Destroyed,
    Finish,
    Launch,
    Measure,
    Measured,
    Record,
    Stopped,
    TrialDone,
)
from agent.experiments.bracket import last_level_held
from agent.experiments.density import Density
from tests.unit.experiments.shell import MIB, Shell, trial_of, weigh
from tonnage.model import (
    DensityResult,
    DensityStage,
    Forecast,
    Notice,
    Outcome,
    Population,
    ProblemKind,
    Sample,
    Slo,
    Step,
    StopReason,
)


def stage(slo: Slo | None = None, **changes: Any) -> DensityStage:
    base = DensityStage(
        target_id="docker",
        step=5,
        max_instances=40,
        probes=2,
        slo=slo or Slo(),
        forecast_after_steps=3,
        settle_seconds=1,
        ready_timeout_seconds=10,
        concurrency=2,
    )
    return replace(base, **changes)


def ramp(plan: DensityStage, **shell: Any) -> Shell:
    return Shell(Density("density/docker", plan), **shell).run()


def result(shell: Shell) -> DensityResult:
    (only,) = (fact for fact in shell.records if isinstance(fact, DensityResult))
    return only


def steps(shell: Shell) -> list[Step]:
    return [fact for fact in shell.records if isinstance(fact, Step)]


def forecasts(shell: Shell) -> list[Forecast]:
    return [fact for fact in shell.records if isinstance(fact, Forecast)]


def test_the_first_step_is_the_empty_host_probed_and_measured() -> None:
    machine = Density("d", stage(probes=1))
    (probe,) = machine.start()
    assert probe == Launch("d/step-000/probe-000", "docker", Population.PROBE, 0)
    assert isinstance(probe, Launch)
    trial = trial_of(probe, Outcome.READY)
    assert machine.handle(TrialDone(trial)) == [Destroy((probe.trial_id,))]


def test_a_step_is_fill_then_probes_then_measurement_then_record() -> None:
    shell = ramp(stage(max_instances=5, probes=2))
    kinds = [
        type(i).__name__ if not isinstance(i, Launch) else i.population.value for i in shell.log
    ]
    empty = ["probe", "Destroy", "probe", "Destroy", "Measure", "Record"]
    assert kinds == [*empty, *["fill"] * 5, *empty, "Record", "Destroy", "Finish"]
    assert [step.sample.instances for step in steps(shell)] == [0, 5]
    assert {o.fill for o in shell.launches if o.trial_id.startswith("density/docker/step-001")} == {
        5
    }


def test_reaching_our_own_cap_proves_nothing_about_memory() -> None:
    shell = ramp(stage(max_instances=12))
    found = result(shell)
    assert (found.limit_instances, found.stop_reason) == (12, StopReason.MAX_INSTANCES)
    assert "proves nothing about memory" in found.binding_constraint
    assert [step.sample.instances for step in steps(shell)] == [0, 5, 10, 12]
    assert shell.finish.problem is None


def test_a_ramp_closes_in_on_the_largest_number_that_holds() -> None:
    shell = ramp(stage(memory_budget_bytes=220 * MIB))
    found = result(shell)
    assert (found.limit_instances, found.stop_reason) == (22, StopReason.MEMORY_BUDGET)
    assert found.binding_constraint == (
        "memory used 230.0 MiB > budget 220.0 MiB (at 23 instances; 22 held)"
    )
    counts = [step.sample.instances for step in steps(shell)]
    assert counts == [0, 5, 10, 15, 20, 25, 22, 23]
    assert [step.number for step in steps(shell)] == list(range(8))
    assert [step.met_slo for step in steps(shell)] == [True] * 5 + [False, True, False]


def test_closing_in_removes_the_newest_and_numbers_what_follows_anew() -> None:
    shell = ramp(stage(memory_budget_bytes=220 * MIB, probes=0))
    removed = next(i for i in shell.log if isinstance(i, Destroy))
    assert removed.trial_ids == tuple(f"density/docker/fill/{n:04d}" for n in (22, 23, 24))
    assert shell.launches[-1].trial_id == "density/docker/fill/0025"
    assert shell.launches[-1].fill == 22


def test_a_coarser_resolution_ends_sooner_and_says_where() -> None:
    found = result(ramp(stage(memory_budget_bytes=220 * MIB, resolution=5)))
    assert found.limit_instances == 20
    assert found.binding_constraint.endswith("(at 25 instances; 20 held)")


def test_an_empty_host_that_breaks_a_demand_carries_nothing() -> None:
    found = result(ramp(stage(Slo(mem_available_bytes=2000 * MIB))))
    assert (found.limit_instances, found.stop_reason) == (0, StopReason.MEMORY_HEADROOM)
    assert found.binding_constraint.endswith("(on the empty host)")


@pytest.mark.parametrize("reason", [StopReason.CANCELLED, StopReason.MEMORY_HEADROOM])
def test_a_stop_while_closing_in_leaves_the_demand_that_broke(reason: StopReason) -> None:
    machine = Density("d", stage(step=8, probes=0, memory_budget_bytes=70 * MIB, concurrency=8))
    machine.start()
    orders = machine.handle(Measured(weigh(0)))
    for order in orders:
        if isinstance(order, Launch):
            measure = machine.handle(TrialDone(trial_of(order, Outcome.READY)))
    assert isinstance(measure[0], Measure)
    step, removal = machine.handle(Measured(weigh(8)))
    assert isinstance(removal, Destroy)
    assert len(removal.trial_ids) == 4
    record, rest = machine.handle(Stopped(reason, "enough"))
    assert record == Record(
        DensityResult(
            "d",
            0,
            StopReason.MEMORY_BUDGET,
            "memory used 80.0 MiB > budget 70.0 MiB (at 8 instances; 0 held;"
            " then cut short: enough)",
        )
    )
    assert isinstance(rest, Destroy)
    ids = (*removal.trial_ids, *rest.trial_ids)
    (finish,) = [i for trial_id in ids for i in machine.handle(Destroyed(trial_id))]
    assert isinstance(finish, Finish)
    assert (finish.problem is not None) == (reason is StopReason.CANCELLED)
    assert isinstance(step, Record)


@given(
    st.integers(1, 12),
    st.integers(1, 14),
    st.integers(1, 60),
    st.integers(0, 700),
    st.integers(2, 4),
)
def test_on_a_host_without_noise_forecast_and_limit_are_one_number(
    step: int, resolution: int, most: int, budget: int, after: int
) -> None:
    plan = stage(
        step=step,
        resolution=resolution,
        max_instances=most,
        probes=0,
        memory_budget_bytes=budget * MIB,
        forecast_after_steps=after,
    )
    shell = ramp(plan)
    found = result(shell)
    assert found.limit_instances == last_level_held(plan, budget / 10)
    if found.stop_reason is StopReason.MEMORY_BUDGET and step >= resolution:
        assert budget // 10 - found.limit_instances < resolution
    assert [f.limit_instances for f in forecasts(shell)] in ([], [found.limit_instances])


@pytest.mark.parametrize(
    ("slo", "figures", "reason", "limit", "text"),
    [
        (
            Slo(),
            {"alive": 14},
            StopReason.INSTANCES_DIED,
            10,
            "14 of 15 instances are alive (at 15 instances; 10 held)",
        ),
        (
            Slo(),
            {"answering": 13},
            StopReason.INSTANCES_DIED,
            10,
            "13 of 15 instances answer (at 15 instances; 10 held)",
        ),
        *(
            (
                Slo(**{f"{resource}_some_avg10": 50}),
                {f"{resource}_some_avg10": 60.0},
                StopReason.SLO_PRESSURE,
                14,
                f"PSI {resource} some avg10 60 % > 50 % (at 15 instances; 14 held)",
            )
            for resource in ("cpu", "memory", "io")
        ),
        (
            Slo(mem_available_bytes=300 * MIB),
            {"mem_available_bytes": 299 * MIB},
            StopReason.MEMORY_HEADROOM,
            14,
            "MemAvailable 299.0 MiB < 300.0 MiB (at 15 instances; 14 held)",
        ),
    ],
)
def test_each_demand_ends_the_ramp_with_its_own_reason(
    slo: Slo, figures: dict[str, Any], reason: StopReason, limit: int, text: str
) -> None:
    pressure: dict[str, Any] = dict.fromkeys(
        ("cpu_some_avg10", "memory_some_avg10", "io_some_avg10"), 1.0
    )

    def weigh_so(count: int) -> Sample:
        usual = replace(weigh(count), **pressure)
        return replace(usual, **figures) if count >= 15 else usual

    found = result(ramp(stage(slo), weigh=weigh_so))
    assert (found.limit_instances, found.stop_reason) == (limit, reason)
    assert found.binding_constraint == text


def test_slow_probes_end_the_ramp() -> None:
    shell = ramp(
        stage(Slo(ready_p95_seconds=1.0)), start_seconds=lambda order: 0.1 + order.fill * 0.1
    )
    found = result(shell)
    assert (found.limit_instances, found.stop_reason) == (9, StopReason.SLO_READY)
    assert found.binding_constraint == "probe start p95 1.1 s > 1 s (at 10 instances; 9 held)"
    (failed,) = (step for step in steps(shell) if not step.met_slo)
    assert failed.probe_p50_seconds == pytest.approx(1.1)


def failing_probe(outcome: Outcome) -> dict[str, object]:
    def ending(order: Launch) -> Outcome:
        late = order.population is Population.PROBE and order.fill >= 10
        return outcome if late else Outcome.READY

    return {"ending": ending}


@pytest.mark.parametrize(
    ("slo", "outcome", "reason", "limit"),
    [
        (Slo(ready_p95_seconds=1.0), Outcome.TIMED_OUT, StopReason.SLO_READY, 9),
        (Slo(ready_p95_seconds=1.0), Outcome.FAILED, StopReason.LAUNCH_FAILED, 5),
        (Slo(), Outcome.TIMED_OUT, StopReason.LAUNCH_FAILED, 5),
    ],
)
def test_a_probe_that_is_not_ready_is_never_passed_over(
    slo: Slo, outcome: Outcome, reason: StopReason, limit: int
) -> None:
    shell = ramp(stage(slo), **failing_probe(outcome))
    found = result(shell)
    assert (found.limit_instances, found.stop_reason) == (limit, reason)
    assert found.binding_constraint.endswith(f"(at 10 instances; {limit} held)")
    (failed,) = (step for step in steps(shell) if not step.met_slo)
    assert failed.probes == 1


def test_a_demand_that_cannot_be_measured_does_not_hold() -> None:
    found = result(ramp(stage(Slo(io_some_avg10=10))))
    assert (found.limit_instances, found.stop_reason) == (0, StopReason.SLO_PRESSURE)
    assert "could not be measured" in found.binding_constraint


def test_a_ready_demand_without_probes_does_not_hold() -> None:
    found = result(ramp(stage(Slo(ready_p95_seconds=1), probes=0)))
    assert (found.limit_instances, found.stop_reason) == (0, StopReason.SLO_READY)


def test_a_launch_that_fails_ends_the_ramp_and_is_not_repeated() -> None:
    def ending(order: Launch) -> Outcome:
        failing = order.population is Population.FILL and order.number == 12
        return Outcome.FAILED if failing else Outcome.READY

    shell = ramp(stage(), ending=ending)
    found = result(shell)
    assert (found.limit_instances, found.stop_reason) == (10, StopReason.LAUNCH_FAILED)
    assert found.binding_constraint == (
        "a launch with 12 instances up did not become ready: made to end failed"
    )
    assert max(o.number for o in shell.launches if o.population is Population.FILL) <= 13
    assert shell.finish.problem is None  # a limit was found


def test_a_target_that_never_starts_is_a_problem() -> None:
    shell = ramp(stage(probes=0), ending=lambda _: Outcome.FAILED)
    assert result(shell).stop_reason is StopReason.LAUNCH_FAILED
    assert shell.finish.problem is not None
    assert shell.finish.problem.kind is ProblemKind.LAUNCH_FAILED


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_guard_or_a_user_stops_with_the_reason_given(reason: StopReason) -> None:
    shell = ramp(stage(), stop_after=40, stop=Stopped(reason, "because"))
    found = result(shell)
    assert (found.stop_reason, found.binding_constraint) == (reason, "because")
    cut_short = {StopReason.CANCELLED, StopReason.TIME_LIMIT, StopReason.DISK_HEADROOM}
    assert (shell.finish.problem is not None) == (reason in cut_short)


def test_a_stop_during_the_measurement_does_not_wait_for_it() -> None:
    machine = Density("d", stage(probes=0))
    assert machine.start() == [Measure((), 1)]
    record, finish = machine.handle(Stopped(StopReason.CANCELLED, "enough"))
    assert isinstance(record, Record)
    assert isinstance(finish, Finish)
    assert machine.handle(Measured(weigh(0))) == []
    assert finish.problem is not None


def test_the_limit_is_foreseen_before_it_is_reached() -> None:
    shell = ramp(stage(memory_budget_bytes=320 * MIB, max_instances=100))
    (found,) = forecasts(shell)
    assert found.at_instances == 15
    assert (found.limit_low, found.limit_instances, found.limit_high) == (32, 32, 32)
    assert found.constraint is StopReason.MEMORY_BUDGET
    assert result(shell).limit_instances == 32
    facts = [type(fact).__name__ for fact in shell.records]
    assert facts.index("Forecast") == 4  # right after the step at 15, before the next launch
    after = shell.log[shell.log.index(Record(found)) + 1]
    assert isinstance(after, Launch)


def test_the_constraint_foreseen_is_the_first_to_bind() -> None:
    plan = stage(Slo(mem_available_bytes=800 * MIB), memory_budget_bytes=500 * MIB)
    (found,) = forecasts(ramp(plan))
    assert (found.constraint, found.limit_instances) == (StopReason.MEMORY_HEADROOM, 20)
    (capped,) = forecasts(ramp(stage(max_instances=25)))
    assert (capped.constraint, capped.limit_instances) == (StopReason.MAX_INSTANCES, 25)
    guarded = Shell(Density("d", stage(), guard_floor_bytes=700 * MIB)).run()
    assert forecasts(guarded)[0].limit_instances == 30


def test_noise_widens_the_interval() -> None:
    draw = random.Random(3)

    def noisy(count: int) -> Sample:
        exact = weigh(count).mem_available_bytes or 0
        return replace(weigh(count), mem_available_bytes=exact + draw.randrange(-MIB, MIB))

    plan = stage(memory_budget_bytes=600 * MIB, max_instances=100, step=2)
    (found,) = forecasts(ramp(plan, weigh=noisy))
    assert found.limit_low < found.limit_instances < found.limit_high


def test_a_forecast_that_rules_little_out_still_says_so() -> None:
    used = [0, 60, 20, 110, 100]

    def coarse(count: int) -> Sample:
        taken = used[count // 5] if count // 5 < len(used) else 10 * count
        return replace(weigh(count), mem_available_bytes=(1000 - taken) * MIB)

    (found,) = forecasts(ramp(stage(memory_budget_bytes=300 * MIB), weigh=coarse))
    assert found.at_instances == 15
    assert found.limit_low <= found.limit_instances <= found.limit_high == 40


def test_a_ramp_that_ends_early_has_no_forecast() -> None:
    shell = ramp(stage(max_instances=10))
    assert forecasts(shell) == []


def test_memory_that_does_not_fall_gives_one_notice_and_no_forecast() -> None:
    shell = ramp(
        stage(),
        weigh=lambda count: replace(weigh(0), instances=count, alive=count, answering=count),
    )
    notices = [fact for fact in shell.records if isinstance(fact, Notice)]
    assert len(notices) == 1
    assert notices[0].message == (
        "no forecast after 3 steps: memory does not fall with the number of instances:"
        " 0.0 MiB more each"
    )
    assert forecasts(shell) == []


def test_two_points_wait_for_the_third() -> None:
    (found,) = forecasts(ramp(stage(forecast_after_steps=1)))
    assert found.at_instances == 10


def test_a_host_that_tells_no_memory_ramps_without_a_forecast() -> None:
    shell = ramp(stage(), weigh=lambda count: Sample(count, count, count))
    assert result(shell).limit_instances == 40
    assert forecasts(shell) == []


@given(
    st.integers(1, 7),
    st.integers(1, 20),
    st.integers(0, 3),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
    st.one_of(st.none(), st.integers(0, 60)),
    st.floats(0, 0.1),
    st.integers(0, 250),
)
def test_any_order_any_outcome_any_stop(
    step: int,
    most: int,
    probes: int,
    concurrency: int,
    draw: random.Random,
    stop_after: int | None,
    failing: float,
    budget: int,
) -> None:
    plan = stage(step=step, max_instances=most, probes=probes, concurrency=concurrency)
    shell = ramp(
        replace(plan, memory_budget_bytes=budget * MIB),
        ending=lambda _: Outcome.FAILED if draw.random() < failing else Outcome.READY,
        pick=draw.randrange,
        stop_after=stop_after,
    )
    found = result(shell)
    held = [step.sample.instances for step in steps(shell) if step.met_slo]
    assert found.limit_instances == max(held, default=0)
    assert shell.most_live <= most + 1


def test_the_same_answers_give_the_same_instructions() -> None:
    whole = ramp(stage(memory_budget_bytes=200 * MIB))
    again = Density("density/docker", stage(memory_budget_bytes=200 * MIB))
    log = again.start()
    for event in whole.history:
        log += again.handle(event)
    assert log == whole.log
