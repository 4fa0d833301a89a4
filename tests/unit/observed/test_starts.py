"""Durations of starts, from the engine's events."""

from __future__ import annotations

import pytest

from agent.observed import starts
from agent.observed.starts import Starts
from agent.runtimes.docker.config import LABEL_AGENT
from tests.unit.observed.engine import event

SECOND = 10**9


def test_a_start_lasts_from_create_to_start() -> None:
    seen = Starts("me")
    assert seen.take(event("create", "a", 5 * SECOND)) is None
    assert seen.take(event("create", "b", 6 * SECOND)) is None
    assert seen.take(event("start", "a", 7 * SECOND)) == 2.0
    assert seen.take(event("start", "b", 6 * SECOND + 1000)) == 1e-6
    assert seen.followed_anew() == 7 * SECOND


def test_only_the_first_start_of_a_container_counts() -> None:
    seen = Starts("me")
    seen.take(event("create", "a", 1))
    assert seen.take(event("start", "a", 2)) is not None
    assert seen.take(event("start", "a", 9 * SECOND)) is None


def test_a_start_whose_begin_was_not_seen_counts_nothing() -> None:
    assert Starts("me").take(event("start", "a", SECOND)) is None


def test_what_is_told_again_counts_once() -> None:
    seen, told = Starts("me"), [event("create", "a", 1), event("start", "a", 2)]
    assert [seen.take(one) is not None for one in told + told] == [False, True, False, False]


def test_a_start_in_flight_when_nobody_followed_counts_nothing() -> None:
    seen = Starts("me")
    seen.take(event("create", "a", 1))
    seen.followed_anew()  # and the engine has forgotten that it was started
    assert seen.take(event("create", "a", 1)) is None  # told again, which is no news
    assert seen.take(event("start", "a", 9000 * SECOND)) is None


def test_a_container_that_was_removed_never_started() -> None:
    seen = Starts("me")
    seen.take(event("create", "a", 1))
    seen.take(event("destroy", "a", 2))
    assert seen.take(event("start", "a", 3)) is None


def test_the_agents_own_are_passed_over_and_those_of_another_agent_are_not() -> None:
    seen = Starts("me")
    for who in ("me", "you"):
        seen.take(event("create", who, 1, **{LABEL_AGENT: who}))
    assert seen.take(event("start", "me", SECOND, **{LABEL_AGENT: "me"})) is None
    assert seen.take(event("start", "you", SECOND + 1, **{LABEL_AGENT: "you"})) == 1.0


def test_a_clock_set_back_tells_nothing() -> None:
    seen = Starts("me")
    seen.take(event("create", "a", 5 * SECOND))
    assert seen.take(event("start", "a", 4 * SECOND)) is None


def test_other_events_are_passed_over() -> None:
    seen = Starts("me")
    seen.take(event("create", "a", 1))
    assert seen.take(event("exec_start: sh", "a", 2)) is None
    assert seen.take({"Action": "start", "timeNano": 3}) is None
    assert seen.take(event("start", "a", 4)) == pytest.approx(3e-9)


def test_containers_never_started_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "_MOST_CREATED", 2)
    seen = Starts("me")
    for at, key in enumerate("abc"):
        seen.take(event("create", key, at))
    assert seen.take(event("start", "a", 10)) is None
    assert seen.take(event("start", "b", 11)) is not None
