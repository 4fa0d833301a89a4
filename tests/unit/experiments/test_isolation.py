"""Isolation: all live side by side, all are asked at once, and what they said is one row."""

from __future__ import annotations

import pytest

from agent.experiments.base import Ask, Destroy, Launch
from agent.experiments.isolation import Isolation
from tests.unit.experiments.shell import CANCELLED, Shell
from tonnage.model import Inside, IsolationStage, Outcome, Population, ProblemKind

STAGE = IsolationStage("docker", 3, 5.0, 10)


def machine(seed: int = 7) -> Isolation:
    return Isolation("isolation/docker", STAGE, seed)


def asks(shell: Shell) -> list[Ask]:
    return [each for each in shell.log if isinstance(each, Ask)]


def test_all_are_asked_once_while_all_live_and_then_removed() -> None:
    shell = Shell(machine()).run()
    assert shell.launches[0] == Launch("isolation/docker/0000", "docker", Population.FILL, 0)
    (ask,) = asks(shell)
    assert [trial_id for trial_id, _ in ask.marks] == [each.trial_id for each in shell.launches]
    assert ask.timeout_seconds == 5.0
    (inside,) = shell.records
    assert isinstance(inside, Inside)
    assert [answer.trial_id for answer in inside.answers] == [i for i, _ in ask.marks]
    assert isinstance(shell.log[shell.log.index(ask) + 2], Destroy)
    assert shell.finish.problem is None


def test_marks_are_names_that_no_other_instance_and_no_other_run_has() -> None:
    marks = [mark for seed in (1, 2) for _, mark in asks(Shell(machine(seed)).run())[0].marks]
    assert len(set(marks)) == 6
    assert asks(Shell(machine(1)).run()) == asks(Shell(machine(1)).run())


def test_a_launch_that_fails_ends_it_and_nothing_is_asked() -> None:
    def second_fails(order: Launch) -> Outcome:
        return Outcome.FAILED if order.number == 1 else Outcome.READY

    shell = Shell(machine(), ending=second_fails).run()
    assert len(shell.launches) == 2
    assert (asks(shell), shell.records) == ([], [])
    assert shell.finish.problem is not None
    assert shell.finish.problem.kind is ProblemKind.LAUNCH_FAILED


def test_who_does_not_answer_is_recorded_and_the_way_out_is_told() -> None:
    shell = Shell(machine(), silent=frozenset({"isolation/docker/0001"})).run()
    (inside,) = shell.records
    assert isinstance(inside, Inside)
    assert [bool(answer.error) for answer in inside.answers] == [False, True, False]
    assert shell.finish.problem is not None
    assert "1 of 3 instances" in shell.finish.problem.message
    assert "tonnage/idle:1" in shell.finish.problem.remedy


@pytest.mark.parametrize("after", range(9))
def test_a_stop_at_any_moment_leaves_nothing(after: int) -> None:
    shell = Shell(machine(), stop_after=after, stop=CANCELLED).run()
    asked = bool(asks(shell))
    assert len(shell.records) == asked
    assert (shell.finish.problem is None) == asked
