"""The footprint series: ascending counts, repeats, and what is kept when it breaks."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.experiments.base import Launch, Measure, Measured, Stopped
from agent.experiments.footprint import Footprint
from tests.unit.experiments.shell import Shell, weigh
from tonnage.model import (
    FootprintPoint,
    FootprintStage,
    Outcome,
    Population,
    ProblemKind,
    Sample,
    StopReason,
)


def stage(counts: tuple[int, ...] = (2, 4, 8), repeats: int = 1, k: int = 1) -> FootprintStage:
    return FootprintStage("docker", counts, repeats, 1, 10, k)


def counts(shell: Shell) -> list[tuple[int, int]]:
    points = [fact for fact in shell.records if isinstance(fact, FootprintPoint)]
    return [(point.repeat, point.sample.instances) for point in points]


def test_the_empty_host_comes_first_then_the_counts_ascending() -> None:
    shell = Shell(Footprint("footprint/docker", stage((8, 2, 4)))).run()
    assert counts(shell) == [(0, 0), (0, 2), (0, 4), (0, 8)]
    assert shell.log[0] == Measure((), 1)
    assert shell.launches[0] == Launch(
        "footprint/docker/r0/0000", "docker", Population.FILL, 0, block=0, concurrency=1, fill=0
    )
    assert [order.fill for order in shell.launches] == list(range(8))
    assert shell.finish.problem is None


def test_a_repeat_begins_with_the_empty_host_again() -> None:
    machine = Footprint("f", stage((1, 2), repeats=2))
    shell = Shell(machine).run()
    assert counts(shell) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert len(shell.launches) == machine.trials_expected == 4
    assert len({order.number for order in shell.launches}) == 4


def test_a_failed_launch_keeps_the_points_before_it() -> None:
    shell = Shell(
        Footprint("f", stage(repeats=2)),
        ending=lambda order: Outcome.FAILED if order.number == 5 else Outcome.READY,
    ).run()
    assert counts(shell) == [(0, 0), (0, 2), (0, 4)]
    assert shell.finish.problem is not None
    assert shell.finish.problem.kind is ProblemKind.LAUNCH_FAILED
    assert "f/r0/0005" in shell.finish.problem.message


def test_an_instance_that_died_ends_the_series_after_its_point() -> None:
    def weigh_so(count: int) -> Sample:
        return replace(weigh(count), alive=count - 1) if count == 4 else weigh(count)

    shell = Shell(Footprint("f", stage()), weigh=weigh_so).run()
    assert counts(shell) == [(0, 0), (0, 2), (0, 4)]
    assert "3 of 4 instances are alive" in str(shell.finish.problem)


def test_a_stop_during_the_measurement_does_not_wait_for_it() -> None:
    machine = Footprint("f", stage())
    assert machine.start() == [Measure((), 1)]
    (finish,) = machine.handle(Stopped(StopReason.MEMORY_HEADROOM, "memory is short"))
    assert "memory is short" in str(finish)
    assert machine.handle(Measured(weigh(0))) == []


@given(
    st.lists(st.integers(0, 12), max_size=4).map(tuple),
    st.integers(1, 3),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
    st.one_of(st.none(), st.integers(0, 60)),
    st.sampled_from([0.0, 0.05]),
)
def test_any_order_any_outcome_any_stop(
    levels: tuple[int, ...],
    repeats: int,
    k: int,
    draw: random.Random,
    stop_after: int | None,
    failing: float,
) -> None:
    shell = Shell(
        Footprint("f", stage(levels, repeats, k)),
        ending=lambda _: Outcome.FAILED if draw.random() < failing else Outcome.READY,
        pick=draw.randrange,
        stop_after=stop_after,
    ).run()
    assert shell.most_live <= max(levels, default=0)
    if shell.finish.problem is None:
        assert counts(shell) == [(r, n) for r in range(repeats) for n in sorted({0, *levels})]
