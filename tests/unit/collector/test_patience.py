"""When to try again, and when to stop trying."""

from __future__ import annotations

import pytest

from collector.agents import AgentBusy
from collector.conductor.patience import Patience, Trouble
from collector.errors import SequenceGap, StoreError, TonnageError, Unreachable

_PATIENCE = Patience(
    lost_after=10, cancelled_after=2, busy_after=100, backoff_first=1, backoff_most=5
)


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def trouble(clock: _Clock) -> Trouble:
    return Trouble(_PATIENCE, clock)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(Unreachable("gone"), 10), (AgentBusy("busy"), 100), (TonnageError("odd"), 10)],
)
def test_each_trouble_has_its_own_bound(
    trouble: Trouble, clock: _Clock, error: TonnageError, seconds: float
) -> None:
    assert not trouble.too_long(error, cancelled=False)
    clock.now = seconds - 0.1
    assert not trouble.too_long(error, cancelled=False)
    clock.now = seconds
    assert trouble.too_long(error, cancelled=False)


@pytest.mark.parametrize("cancelled", [False, True])
def test_no_host_is_given_up_because_the_store_fails(
    trouble: Trouble, clock: _Clock, cancelled: bool
) -> None:
    assert not trouble.too_long(StoreError("full"), cancelled=cancelled)
    clock.now = 1e6
    assert not trouble.too_long(StoreError("full"), cancelled=cancelled)


def test_a_quiet_hour_before_the_first_failure_does_not_count(
    trouble: Trouble, clock: _Clock
) -> None:
    clock.now = 3600
    assert not trouble.too_long(Unreachable("gone"), cancelled=False)


def test_an_answer_ends_silence_but_not_other_trouble(trouble: Trouble, clock: _Clock) -> None:
    for error in (Unreachable("gone"), TonnageError("odd")):
        trouble.too_long(error, cancelled=False)
    clock.now = 10
    trouble.answered()
    assert not trouble.too_long(Unreachable("gone"), cancelled=False)
    assert trouble.too_long(TonnageError("odd"), cancelled=False)


def test_after_a_cancel_patience_is_short(trouble: Trouble, clock: _Clock) -> None:
    assert not trouble.too_long(Unreachable("gone"), cancelled=True)
    clock.now = 2
    assert trouble.too_long(Unreachable("gone"), cancelled=True)


def test_a_gap_that_comes_back_is_a_hole(trouble: Trouble) -> None:
    gap = SequenceGap("events 3 to 4 are missing")
    assert [trouble.too_long(gap, cancelled=False) for _ in range(3)] == [False, False, True]
    trouble.moved_on()
    assert not trouble.too_long(gap, cancelled=False)


def test_waiting_doubles_up_to_its_bound_and_starts_anew(trouble: Trouble) -> None:
    assert [trouble.delay() for _ in range(4)] == [1, 2, 4, 5]
    trouble.moved_on()
    assert trouble.delay() == 1
