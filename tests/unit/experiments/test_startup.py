"""The startup experiment: its schedule, its loop, its end."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.experiments.base import (
    Destroy,
    Destroyed,
    Finish,
    Launch,
    Stopped,
    TrialDone,
)
from agent.experiments.startup import BATCH_ROUNDS, GIVE_UP_AFTER, Startup, schedule
from tests.unit.experiments.shell import Shell, trial_of
from tonnage.model import (
    Notice,
    Outcome,
    Population,
    ProblemKind,
    StartupStage,
    StopReason,
    TargetTrials,
)


def stage(
    trials: dict[str, int], warmup: int = 0, concurrency: tuple[int, ...] = (1,)
) -> StartupStage:
    targets = tuple(TargetTrials(name, count) for name, count in trials.items())
    return StartupStage(targets, warmup, concurrency, ready_timeout_seconds=10)


stages = st.builds(
    stage,
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 25), min_size=1),
    st.integers(0, 2),
    st.lists(st.integers(1, 5), min_size=1, max_size=2, unique=True).map(tuple),
)


def test_one_trial_goes_from_launch_to_finish() -> None:
    machine = Startup("startup", stage({"docker": 1}), seed=1)
    (order,) = machine.start()
    assert order == Launch("startup/docker/c1/0000", "docker", Population.MEASURED, 0)
    trial = trial_of(order, Outcome.READY)
    assert machine.handle(TrialDone(trial)) == [Destroy((order.trial_id,))]
    assert machine.handle(Destroyed(order.trial_id)) == [Finish()]
    assert machine.handle(Stopped(StopReason.CANCELLED, "too late")) == []


@given(stages, st.integers(0, 2**64 - 1))
def test_the_schedule_holds_every_trial_once(plan: StartupStage, seed: int) -> None:
    orders = [order for batch in schedule("s", plan, seed) for order in batch.launches]
    measured = Counter(
        (order.target_id, order.concurrency)
        for order in orders
        if order.population is Population.MEASURED
    )
    assert measured == {
        (target.target_id, level): target.trials
        for target in plan.targets
        for level in plan.concurrency
    }
    assert len({order.trial_id for order in orders}) == len(orders)
    assert Startup("s", plan, seed).trials_expected == len(orders)


@given(stages, st.integers(0, 1000))
def test_every_block_holds_every_target_in_proportion(plan: StartupStage, seed: int) -> None:
    per_block: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    for batch in schedule("s", plan, seed):
        for order in batch.launches:
            if order.population is Population.MEASURED:
                per_block[order.concurrency, order.block][order.target_id] += 1
    for level in plan.concurrency:
        blocks = [counts for (at, _), counts in per_block.items() if at == level]
        for target in plan.targets:
            share = target.trials / len(blocks)
            assert all(abs(counts[target.target_id] - share) < 1 for counts in blocks)
            assert all(counts[target.target_id] >= 1 for counts in blocks)


@given(stages, st.integers(0, 1000))
def test_a_batch_above_one_in_flight_is_of_one_target(plan: StartupStage, seed: int) -> None:
    for batch in schedule("s", plan, seed):
        assert len({order.target_id for order in batch.launches}) == 1
        assert batch.concurrency == batch.launches[0].concurrency


def test_batches_keep_their_slots_busy_for_some_rounds() -> None:
    batches = schedule("s", stage({"a": 40, "b": 40}, concurrency=(4,)), seed=3)
    assert len(batches) == 6
    assert all(len(batch.launches) >= BATCH_ROUNDS * 4 for batch in batches)


def test_twins_share_every_place_in_time_alike() -> None:
    """An A/A comparison starts from a schedule that favours neither twin."""
    plan = stage({"a": 200, "b": 200})
    lead = []
    for seed in range(50):
        orders = [batch.launches[0].target_id for batch in schedule("s", plan, seed)]
        places = {name: [i for i, who in enumerate(orders) if who == name] for name in "ab"}
        lead.append((sum(places["a"]) - sum(places["b"])) / 200)
        assert abs(lead[-1]) < 0.3  # mean places differ by less than a third of a trial
    assert abs(sum(lead) / len(lead)) < 0.05


def test_drift_of_the_host_falls_on_all_targets_alike() -> None:
    orders = [
        batch.launches[0].target_id
        for batch in schedule("s", stage({"docker": 100, "vm": 25}), seed=9)
    ]
    early = Counter(orders[: len(orders) // 2])
    assert early["vm"] == pytest.approx(12.5, abs=1)
    assert early["docker"] == pytest.approx(50, abs=4)


def test_the_seed_decides_the_order_and_nothing_else() -> None:
    plan = stage({"a": 30, "b": 30}, warmup=2, concurrency=(1, 4))
    assert schedule("s", plan, 1) == schedule("s", plan, 1)
    assert schedule("s", plan, 1) != schedule("s", plan, 2)
    ids = [
        sorted(order.trial_id for batch in schedule("s", plan, seed) for order in batch.launches)
        for seed in (1, 2)
    ]
    assert ids[0] == ids[1]


def test_warm_up_comes_first_one_at_a_time_and_is_marked() -> None:
    shell = Shell(Startup("s", stage({"a": 8, "b": 8}, warmup=2, concurrency=(4,)), 5)).run()
    warm = shell.launches[:4]
    assert {order.population for order in warm} == {Population.WARMUP}
    assert Counter(order.target_id for order in warm) == {"a": 2, "b": 2}
    assert {order.concurrency for order in warm} == {1}
    assert {order.population for order in shell.launches[4:]} == {Population.MEASURED}


def test_a_slot_is_taken_again_only_when_its_instance_is_gone() -> None:
    machine = Startup("s", stage({"a": 12}, concurrency=(2,)), 1)
    one, two = machine.start()
    assert isinstance(one, Launch)
    assert isinstance(two, Launch)
    assert machine.handle(TrialDone(trial_of(one, Outcome.READY))) == [Destroy((one.trial_id,))]
    (three,) = machine.handle(Destroyed(one.trial_id))
    assert isinstance(three, Launch)
    (four,) = machine.handle(TrialDone(trial_of(two, Outcome.FAILED)))
    assert isinstance(four, Launch)


def test_no_two_targets_are_in_flight_together() -> None:
    plan = stage({"a": 24, "b": 24}, concurrency=(4,))
    machine = Startup("s", plan, 1)
    draw = random.Random(4)
    open_ends = [order for order in machine.start() if isinstance(order, Launch)]
    while open_ends:
        assert len({order.target_id for order in open_ends}) == 1
        order = open_ends.pop(draw.randrange(len(open_ends)))
        machine.handle(TrialDone(trial_of(order, Outcome.READY)))
        answer = machine.handle(Destroyed(order.trial_id))
        open_ends += [found for found in answer if isinstance(found, Launch)]


@given(stages, st.randoms(use_true_random=False), st.integers(0, 80), st.data())
def test_any_order_any_outcome_any_stop(
    plan: StartupStage, draw: random.Random, stop_after: int, data: st.DataObject
) -> None:
    stops = data.draw(st.booleans())
    shell = Shell(
        Startup("s", plan, 7),
        ending=lambda _: draw.choice([Outcome.READY, Outcome.READY, Outcome.FAILED]),
        pick=draw.randrange,
        stop_after=stop_after if stops else None,
    ).run()
    assert shell.most_live <= max(plan.concurrency)


def test_a_target_that_never_becomes_ready_is_given_up_and_the_others_go_on() -> None:
    shell = Shell(
        Startup("s", stage({"good": 20, "bad": 20}, warmup=1), 1),
        ending=lambda order: Outcome.FAILED if order.target_id == "bad" else Outcome.READY,
    ).run()
    assert Counter(order.target_id for order in shell.launches) == {
        "good": 21,
        "bad": GIVE_UP_AFTER,
    }
    (notice,) = shell.records
    assert isinstance(notice, Notice)
    assert "bad is given up" in notice.message
    assert "made to end failed" in notice.message
    assert shell.finish.problem is not None
    assert shell.finish.problem.kind is ProblemKind.LAUNCH_FAILED


def test_when_all_are_given_up_a_long_schedule_ends_at_once() -> None:
    shell = Shell(Startup("s", stage({"a": 5000}), 1), ending=lambda _: Outcome.FAILED).run()
    assert len(shell.launches) == GIVE_UP_AFTER


def test_a_target_that_was_ready_once_is_tried_to_the_end() -> None:
    shell = Shell(
        Startup("s", stage({"a": 20}), 1),
        ending=lambda order: Outcome.READY if order.number == 2 else Outcome.TIMED_OUT,
    ).run()
    assert len(shell.launches) == 20
    assert shell.finish == Finish()


def test_a_stop_says_how_far_it_came() -> None:
    shell = Shell(Startup("s", stage({"a": 20}), 1), stop_after=10).run()
    assert shell.finish.problem is not None
    # ten answers: five trials and their removals; the one in flight came to its end
    assert "6 of 20 trials were made: cancelled by the user" in str(shell.finish.problem)


def test_a_stop_after_the_last_outcome_is_no_problem() -> None:
    shell = Shell(Startup("s", stage({"a": 2}), 1), stop_after=3).run()
    assert shell.finish == Finish()
