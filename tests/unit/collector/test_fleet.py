"""The inventory and its leases."""

from __future__ import annotations

import pytest

from collector.errors import InvalidInput, NoSuchHost
from collector.fleet import Fleet
from tests.runs_made_up import facts, fingerprint

_RUNTIMES = [fingerprint()]


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def fleet(clock: _Clock) -> Fleet:
    return Fleet(lease_seconds=10.0, clock=clock)


def test_a_host_is_healthy_until_its_lease_ends(fleet: Fleet, clock: _Clock) -> None:
    assert fleet.register(facts("b"), _RUNTIMES, "127.0.0.1:1", "127.0.0.1:2") == 10.0
    fleet.register(facts("a"), _RUNTIMES, "127.0.0.1:3")
    clock.now += 9.9
    fleet.register(facts("a"), _RUNTIMES, "127.0.0.1:3")
    clock.now += 0.1
    assert [(h.facts.host, h.state) for h in fleet.hosts()] == [("a", "healthy"), ("b", "lost")]
    assert [h.facts.host for h in fleet.healthy()] == ["a"]
    assert fleet.get("b").metrics_address == "127.0.0.1:2"


def test_a_name_belongs_to_one_agent_while_its_lease_runs(fleet: Fleet, clock: _Clock) -> None:
    fleet.register(facts("a", "one"), _RUNTIMES, "127.0.0.1:1")
    with pytest.raises(InvalidInput, match="another agent holds this name"):
        fleet.register(facts("a", "two"), _RUNTIMES, "127.0.0.1:2")
    fleet.register(facts("a", "two"), _RUNTIMES, "127.0.0.1:1")  # what was there before is gone
    clock.now += 10
    fleet.register(facts("a", "three"), _RUNTIMES, "127.0.0.1:3")
    assert fleet.get("a").facts.agent_id == "three"


def test_a_host_may_move(fleet: Fleet) -> None:
    fleet.register(facts("a"), _RUNTIMES, "127.0.0.1:1")
    fleet.register(facts("a"), _RUNTIMES, "127.0.0.1:2")
    assert fleet.get("a").address == "127.0.0.1:2"


@pytest.mark.parametrize(
    ("name", "address"),
    [("", "127.0.0.1:1"), ("a/b", "127.0.0.1:1"), ("a" * 64, "127.0.0.1:1"), ("a", "nowhere")],
)
def test_a_malformed_registration_is_refused(fleet: Fleet, name: str, address: str) -> None:
    with pytest.raises(InvalidInput):
        fleet.register(facts(name), _RUNTIMES, address)
    assert fleet.hosts() == ()


def test_an_unknown_host_is_told_with_those_there_are(fleet: Fleet) -> None:
    fleet.register(facts("a"), _RUNTIMES, "127.0.0.1:1")
    with pytest.raises(NoSuchHost, match="Registered hosts: a"):
        fleet.get("b")


async def test_a_connection_is_made_once_for_a_host_and_address(fleet: Fleet) -> None:
    first = fleet.agent("a", "127.0.0.1:1")
    assert fleet.agent("a", "127.0.0.1:1") is first
    assert fleet.agent("a", "127.0.0.1:2") is not first
    await fleet.close()
