"""Churn: a schedule that waits for nobody, a number that stays, and readings beside."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from agent.experiments.base import Destroy, Finish, Launch, Measure, TrialDone
from agent.experiments.churn import GIVE_UP_AFTER, Churn
from tests.unit.experiments.shell import Shell, trial_of
from tonnage.model import (
    ChurnPoint,
    ChurnReading,
    ChurnStage,
    Outcome,
    Population,
    ProblemKind,
)


def stage(
    instances: int = 3,
    rate: float = 2.0,
    seconds: float = 5.0,
    readings: int = 2,
    concurrency: int = 2,
    max_in_flight: int = 4,
) -> ChurnStage:
    return ChurnStage(
        "docker", instances, rate, seconds, readings, 1.0, 10.0, concurrency, max_in_flight
    )


def run(work: ChurnStage, **how: object) -> Shell:
    return Shell(Churn("churn/docker", work), **how).run()  # type: ignore[arg-type] # by name


def readings(shell: Shell) -> list[ChurnReading]:
    points = [fact for fact in shell.records if isinstance(fact, ChurnPoint)]
    return [point.fact for point in points if isinstance(point.fact, ChurnReading)]


def test_every_replacement_has_its_time_from_the_first_on() -> None:
    shell = run(stage())
    churned = [order for order in shell.launches if order.population is Population.CHURN]
    assert [order.due_seconds for order in churned] == [k / 2.0 for k in range(10)]
    assert churned[0] == Launch(
        "churn/docker/00000",
        "docker",
        Population.CHURN,
        0,
        concurrency=4,
        fill=3,
        due_seconds=0.0,
    )
    assert shell.finish == Finish(None)
    assert len(shell.launches) == shell.machine.trials_expected == 13


def test_the_fill_comes_before_the_schedule_and_is_on_none() -> None:
    shell = run(stage())
    assert shell.log[0] == Measure((), 1.0)
    fill = shell.launches[:3]
    assert {(order.population, order.due_seconds) for order in fill} == {(Population.FILL, None)}


def test_launches_are_ordered_ahead_and_wait_for_no_outcome() -> None:
    shell = Shell(Churn("c", stage(max_in_flight=4)))
    shell._take(shell.machine.start())
    while sum(order.population is Population.CHURN for order in shell.launches) < 4:
        shell._take(shell.machine.handle(shell._next_event()))
    assert [order.due_seconds for order in shell.launches[-4:]] == [0.0, 0.5, 1.0, 1.5]
    (next_one, gone) = shell.machine.handle(TrialDone(trial_of(shell.launches[-4], Outcome.READY)))
    assert isinstance(next_one, Launch)
    assert next_one.due_seconds == 2.0
    assert gone == Destroy(("c/fill/0000",))


def test_the_oldest_goes_first_and_only_for_one_that_is_ready() -> None:
    failing = {1, 4}

    def ending(order: Launch) -> Outcome:
        failed = order.population is Population.CHURN and order.number in failing
        return Outcome.FAILED if failed else Outcome.READY

    shell = run(stage(readings=0), ending=ending)
    gone = [trial_id for d in shell.log if isinstance(d, Destroy) for trial_id in d.trial_ids]
    ready = [order.trial_id for order in shell.launches if ending(order) is Outcome.READY]
    assert gone == ready
    assert shell.finish == Finish(None)


def test_the_empty_host_is_measured_before_and_after() -> None:
    found = readings(run(stage(readings=3)))
    assert [reading.number for reading in found] == list(range(6))
    assert [found[0].sample.instances, found[1].sample.instances] == [0, 3]
    assert found[-1].sample.instances == 0


def test_a_host_on_which_nothing_starts_any_more_is_given_up() -> None:
    shell = run(
        stage(seconds=50.0),
        ending=lambda o: Outcome.READY if o.population is Population.FILL else Outcome.TIMED_OUT,
    )
    churned = [order for order in shell.launches if order.population is Population.CHURN]
    assert GIVE_UP_AFTER <= len(churned) < GIVE_UP_AFTER + 4
    assert shell.finish.problem is not None
    assert shell.finish.problem.kind is ProblemKind.LAUNCH_FAILED


def test_a_fill_that_fails_ends_it_before_the_schedule_begins() -> None:
    shell = run(
        stage(), ending=lambda o: Outcome.FAILED if o.trial_id.endswith("1") else Outcome.READY
    )
    assert all(order.population is Population.FILL for order in shell.launches)
    assert shell.finish.problem is not None


stages = st.builds(
    stage,
    st.integers(1, 5),
    st.sampled_from([0.5, 3.0]),
    st.floats(0.1, 8.0),
    st.integers(0, 6),
    st.integers(1, 3),
    st.integers(1, 6),
)
endings: st.SearchStrategy[Callable[[Launch], Outcome]] = st.sets(st.integers(0, 20)).map(
    lambda failing: (
        lambda order: (
            Outcome.FAILED
            if order.population is Population.CHURN and order.number in failing
            else Outcome.READY
        )
    )
)


@given(stages, endings, st.randoms(use_true_random=False))
def test_in_any_order_all_are_made_and_all_readings_taken(
    work: ChurnStage, ending: Callable[[Launch], Outcome], draw: random.Random
) -> None:
    shell = run(work, ending=ending, pick=draw.randrange)
    if shell.finish.problem is None:
        assert len(shell.launches) == shell.machine.trials_expected
        assert len(readings(shell)) == work.readings + 3
    assert shell.most_live >= work.instances


@given(stages, st.integers(0, 40), st.randoms(use_true_random=False))
def test_stopped_anywhere_it_launches_nothing_more_and_leaves_nothing(
    work: ChurnStage, after: int, draw: random.Random
) -> None:
    shell = run(work, stop_after=after, pick=draw.randrange)
    stopped = shell.finish.problem is not None
    assert stopped == (len(readings(shell)) < work.readings + 3)
