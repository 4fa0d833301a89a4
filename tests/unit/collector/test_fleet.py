"""The inventory, its leases and its states."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from collector.errors import InvalidInput, NoSuchHost, StoreError, Unreachable, WrongState
from collector.fleet import Fleet, Keeper, Lease, Registration
from collector.fleet.member import Clocks
from collector.model import KnownHost
from collector.stores.open import open_store
from tests.runs_made_up import facts, fingerprint
from tonnage import OLDEST_PROTOCOL, PROTOCOL

_HOUR_NS = 3600 * 10**9


@dataclass
class _Time:
    """Two clocks that a test moves."""

    monotonic: float = 100.0
    wall: int = 1_795_000_000 * 10**9

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.monotonic, lambda: self.wall)

    def passes(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += int(seconds * 10**9)


def _told(host: str = "a", agent_id: str = "a1", **changes: Any) -> Registration:
    values: dict[str, Any] = {
        "facts": facts(host, agent_id),
        "runtimes": (fingerprint(),),
        "address": "127.0.0.1:1",
    }
    return Registration(**{**values, **changes})


class _Notes:
    """A store of hosts that notes what is written, and can fail."""

    def __init__(self, known: tuple[KnownHost, ...] = ()) -> None:
        self.known = known
        self.put: list[list[str]] = []
        self.saw: list[dict[str, int]] = []
        self.drained: list[tuple[str, bool]] = []
        self.forgotten: list[str] = []
        self.broken = False
        self.written = asyncio.Event()

    async def put_hosts(self, hosts: Any) -> None:
        if self.broken:
            raise StoreError("the disk is full")
        self.put.append([host.facts.host for host in hosts])
        self.written.set()

    async def saw_hosts(self, last_seen_unix_ns: Any) -> None:
        if last_seen_unix_ns:
            self.saw.append(dict(last_seen_unix_ns))

    async def set_draining(self, host: str, draining: bool) -> None:
        self.drained.append((host, draining))

    async def forget_host(self, host: str) -> None:
        self.forgotten.append(host)

    async def known_hosts(self) -> tuple[KnownHost, ...]:
        return self.known


@pytest.fixture
def time() -> _Time:
    return _Time()


@pytest.fixture
def notes() -> _Notes:
    return _Notes()


@pytest.fixture
def keeper(notes: _Notes) -> Keeper:
    return Keeper(notes, every_seconds=10.0)


@pytest.fixture
def fleet(time: _Time, keeper: Keeper) -> Fleet:
    return Fleet(10.0, 60.0, clocks=time.clocks, keeper=keeper)


def _states(fleet: Fleet) -> dict[str, str]:
    return {host.facts.host: host.state for host in fleet.hosts()}


def test_a_host_is_healthy_then_suspect_then_lost(fleet: Fleet, time: _Time) -> None:
    assert fleet.register(_told("b", metrics_address="127.0.0.1:2")) == 10.0
    fleet.register(_told("a"))
    time.passes(9.9)
    assert fleet.renew("a")
    time.passes(0.1)
    assert _states(fleet) == {"a": "healthy", "b": "suspect"}
    assert [h.facts.host for h in fleet.healthy()] == ["a"]
    time.passes(49.9)
    assert _states(fleet) == {"a": "suspect", "b": "suspect"}
    time.passes(0.1)
    assert _states(fleet) == {"a": "suspect", "b": "lost"}
    assert fleet.get("b").metrics_address == "127.0.0.1:2"
    fleet.register(_told("b"))
    assert fleet.get("b").state == "healthy"


def test_leases_tell_how_every_host_stands_at_one_moment(fleet: Fleet, time: _Time) -> None:
    begun = time.wall
    fleet.register(_told("b"))
    time.passes(4.0)
    fleet.register(_told("a"))
    time.passes(7.0)
    assert fleet.leases() == (
        Lease("a", "healthy", begun + 4 * 10**9, 3.0),
        Lease("b", "suspect", begun, -1.0),
    )


@pytest.mark.parametrize("step", [_HOUR_NS, -_HOUR_NS, 10_000 * _HOUR_NS])
def test_a_step_of_the_wall_clock_moves_no_host(fleet: Fleet, time: _Time, step: int) -> None:
    fleet.register(_told("a"))
    time.wall += step
    assert _states(fleet) == {"a": "healthy"}
    assert fleet.renew("a")
    assert fleet.get("a").last_seen_unix_ns == time.wall
    time.wall -= 2 * step
    time.passes(10)
    assert _states(fleet) == {"a": "suspect"}


def test_a_host_that_is_not_known_cannot_renew(fleet: Fleet) -> None:
    assert not fleet.renew("a")


def test_a_name_belongs_to_one_agent_while_its_lease_runs(fleet: Fleet, time: _Time) -> None:
    fleet.register(_told("a", "one"))
    with pytest.raises(InvalidInput, match=r"another agent holds this name, at 127\.0\.0\.1:1"):
        fleet.register(_told("a", "two", address="127.0.0.1:2"))
    fleet.register(_told("a", "two"))  # at the same address: what was there before is gone
    time.passes(10)
    fleet.register(_told("a", "three", address="127.0.0.1:3"))
    assert fleet.get("a").facts.agent_id == "three"


def test_a_host_may_move(fleet: Fleet) -> None:
    fleet.register(_told("a"))
    fleet.register(_told("a", address="127.0.0.1:2"))
    assert fleet.get("a").address == "127.0.0.1:2"
    assert fleet.address_of("a", "x:1") == "127.0.0.1:2"
    assert fleet.address_of("b", "x:1") == "x:1"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"facts": facts("")}, "facts.host"),
        ({"facts": facts("a/b")}, "facts.host"),
        ({"facts": facts("a" * 64)}, "facts.host"),
        ({"address": "nowhere"}, "address"),
        ({"address": ""}, "address"),
        ({"metrics_address": "no where:1"}, "metrics_address"),
        ({"facts": replace(facts(), labels={"a": "b" * 300})}, "facts.labels"),
        ({"facts": replace(facts(), labels={f"l{n}": "" for n in range(99)})}, "facts.labels"),
    ],
)
def test_a_malformed_registration_is_refused(
    fleet: Fleet, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        fleet.register(_told(**changes))
    assert refused.value.problem.field == field
    assert refused.value.problem.remedy
    assert fleet.hosts() == ()


@pytest.mark.parametrize(
    ("protocol", "side"),
    [
        (0, "Upgrade tonnage-agent on a"),
        (OLDEST_PROTOCOL - 1, "Upgrade tonnage-agent on a"),
        (PROTOCOL + 1, "Upgrade the collector"),
    ],
)
def test_a_protocol_that_does_not_fit_is_refused_with_both_versions(
    fleet: Fleet, protocol: int, side: str
) -> None:
    told = _told(protocol=protocol, facts=replace(facts("a"), agent_version="7.8.9"))
    with pytest.raises(WrongState, match=r"agent 7\.8\.9 of host a .* collector") as refused:
        fleet.register(told)
    assert refused.value.problem.remedy.startswith(side)
    assert str(protocol) in refused.value.problem.message
    assert fleet.hosts() == ()


def test_an_unknown_host_is_told_with_those_there_are(fleet: Fleet) -> None:
    fleet.register(_told("a"))
    with pytest.raises(NoSuchHost, match="Registered hosts: a"):
        fleet.get("b")


async def test_a_connection_is_made_once_for_a_host_and_address(fleet: Fleet) -> None:
    first = fleet.agent("a", "127.0.0.1:1")
    assert fleet.agent("a", "127.0.0.1:1") is first
    assert fleet.agent("a", "127.0.0.1:2") is not first
    await fleet.close()


async def test_a_drained_host_takes_no_run_until_it_is_taken_back(
    fleet: Fleet, notes: _Notes, time: _Time
) -> None:
    fleet.register(_told("a"))
    await fleet.drain("a", draining=True)
    assert notes.put == [["a"]]
    assert notes.drained == [("a", True)]
    fleet.register(_told("a", address="127.0.0.1:9"))
    assert (fleet.get("a").state, fleet.healthy()) == ("draining", ())
    time.passes(10)
    assert (fleet.get("a").state, fleet.get("a").draining) == ("suspect", True)
    fleet.renew("a")
    await fleet.drain("a", draining=False)
    assert fleet.get("a").state == "healthy"
    with pytest.raises(NoSuchHost):
        await fleet.drain("b", draining=True)


async def test_a_host_is_forgotten_only_once_it_is_silent(
    fleet: Fleet, notes: _Notes, time: _Time
) -> None:
    fleet.register(_told("a"))
    with pytest.raises(WrongState, match="would register again"):
        await fleet.forget("a")
    time.passes(10)
    await fleet.forget("a")
    assert notes.forgotten == ["a"]
    assert fleet.hosts() == ()
    with pytest.raises(NoSuchHost):
        await fleet.forget("a")


async def test_a_barred_host_is_lost_and_not_dialled_until_it_registers_again(
    fleet: Fleet, time: _Time
) -> None:
    fleet.register(_told("a"))
    fleet.register(_told("b"))
    before = fleet.agent("a", "127.0.0.1:1")
    await fleet.bar({"a", "never-seen"})
    assert _states(fleet) == {"a": "lost", "b": "healthy"}
    for agent in (before, fleet.agent("a", "127.0.0.1:2")):
        with pytest.raises(Unreachable, match="not dialled"):
            await agent.instances()
    assert not fleet.agent("b", "127.0.0.1:1").barred
    fleet.register(_told("a"))
    assert _states(fleet) == {"a": "healthy", "b": "healthy"}
    assert not before.barred
    await fleet.close()


async def test_only_what_changed_is_written_and_the_rest_when_it_was_seen(
    fleet: Fleet, keeper: Keeper, notes: _Notes, time: _Time
) -> None:
    for name in ("a", "b"):
        fleet.register(_told(name))
    await keeper.flush()
    assert notes.put == [["a", "b"]]
    for _ in range(3):
        time.passes(3)
        fleet.renew("a")
        fleet.register(_told("b"))
    await keeper.flush()
    assert notes.put == [["a", "b"]]
    assert notes.saw == [{"a": time.wall, "b": time.wall}]
    fleet.register(_told("b", facts=replace(facts("b"), kernel="6.2")))
    await keeper.flush()
    assert notes.put == [["a", "b"], ["b"]]


async def test_a_store_that_fails_loses_no_change(
    fleet: Fleet, keeper: Keeper, notes: _Notes
) -> None:
    fleet.register(_told("a"))
    notes.broken = True
    with pytest.raises(StoreError):
        await keeper.flush()
    fleet.register(_told("b"))
    notes.broken = False
    keeping = asyncio.create_task(keeper.run())
    await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert notes.put == [["a", "b"]]


async def test_a_change_is_written_without_being_asked(
    fleet: Fleet, keeper: Keeper, notes: _Notes
) -> None:
    keeping = asyncio.create_task(keeper.run())
    fleet.register(_told("a"))
    async with asyncio.timeout(5):
        await notes.written.wait()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert notes.put == [["a"]]


async def test_a_restarted_collector_shows_its_hosts_at_once_as_suspect(tmp_path: Path) -> None:
    time = _Time()
    store = await open_store(str(tmp_path))
    keeper = Keeper(store, 10.0)
    fleet = Fleet(10.0, 60.0, clocks=time.clocks, keeper=keeper)
    fleet.register(_told("a"))
    fleet.register(_told("b"))
    first_seen = time.wall
    await fleet.drain("b", draining=True)
    await keeper.flush()
    await store.close()
    store = await open_store(str(tmp_path))
    time.monotonic, time.wall = 5.0, time.wall + 400 * _HOUR_NS
    keeper = Keeper(store, 10.0)
    again = Fleet(10.0, 60.0, clocks=time.clocks, keeper=keeper)
    try:
        await again.restore()
        assert _states(again) == {"a": "suspect", "b": "suspect"}
        assert again.get("a").facts == facts("a", "a1")
        for name in ("a", "b"):
            again.register(_told(name))
        assert _states(again) == {"a": "healthy", "b": "draining"}
        time.passes(60)
        assert _states(again) == {"a": "lost", "b": "lost"}
        await keeper.flush()
        known = await store.known_hosts()
        assert [host.first_seen_unix_ns for host in known] == [first_seen] * 2
        assert known[0].last_seen_unix_ns > first_seen
    finally:
        await store.close()


async def test_who_waits_is_told_when_a_host_comes_back_and_not_when_it_renews(
    fleet: Fleet, time: _Time
) -> None:
    async def told(after: Any) -> bool:
        waiting = asyncio.create_task(fleet.changed())
        await asyncio.sleep(0)
        after()
        await asyncio.sleep(0)
        done = waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return done

    assert await told(lambda: fleet.register(_told("a")))
    assert not await told(lambda: fleet.renew("a"))
    assert not await told(lambda: fleet.register(_told("a")))
    time.passes(10)
    assert await told(lambda: fleet.renew("a"))
    time.passes(10)
    assert await told(lambda: fleet.register(_told("a")))
