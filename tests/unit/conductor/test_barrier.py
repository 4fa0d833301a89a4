"""When hosts are let go, and what is said of how far apart they began."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from collector.agents import Released
from collector.conductor.barrier import Barrier
from collector.errors import Unreachable


class Clock:
    """Stands still, but for what a gate lets pass."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """Releases hosts, each call in a second; of those in ``lossy`` the first answer is lost.
    ``before`` were released by another collector; ``mute`` never answer; ``tells`` say after
    how many seconds they began."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.begin_in: list[float] = []
        self.tells: dict[str, float] = {}
        self.lossy: set[str] = set()
        self.mute: set[str] = set()
        self.before: set[str] = set()
        self.released: list[str] = []
        self.skews: asyncio.Queue[float] = asyncio.Queue()

    async def release(self, host: str, begin_in_seconds: float) -> Released:
        self.begin_in.append(begin_in_seconds)
        self.clock.now += 1
        known = host in self.before
        self.before.add(host)
        self.released.append(host)
        if host in self.mute:
            await asyncio.Event().wait()
        if host in self.lossy:
            self.lossy.discard(host)
            raise Unreachable("the answer was lost")
        return Released(known, None if known else self.tells.get(host))

    def late(self, host: str, seconds: float) -> None:
        raise AssertionError(f"{host} was late after {seconds} s")

    async def began(self, skew_seconds: float) -> None:
        self.skews.put_nowait(skew_seconds)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.conductor.barrier._RETRY_SECONDS", 0.001)


@asynccontextmanager
async def barrier(gate: Gate, *, only: bool = True) -> AsyncIterator[Barrier]:
    """One for the hosts h1 and h2, which runs."""
    made = Barrier(gate, 3600.0, gate.clock, only=only)
    made.add(["h1", "h2"])
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def becomes(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - each step of the others counts
            await asyncio.sleep(0)


async def test_the_skew_is_from_the_first_request_to_the_last_answer() -> None:
    gate = Gate()
    async with barrier(gate) as made:
        made.prepared("h1")
        made.prepared("h2")
        # Asked at 0, answered at 1 and 2.
        assert await asyncio.wait_for(gate.skews.get(), 5) == 2.0


async def test_hosts_are_told_to_begin_at_one_moment() -> None:
    gate = Gate()
    async with barrier(gate) as made:
        made.prepared("h1")
        made.prepared("h2")
        await asyncio.wait_for(gate.skews.get(), 5)
    first, second = gate.begin_in
    assert 0 < first < 1
    assert second == 0  # told a second later: the moment is over, and it begins at once


async def test_what_a_host_let_pass_before_it_began_is_no_part_of_the_skew() -> None:
    gate = Gate()
    gate.tells = {"h1": 0.75, "h2": 0.5}
    async with barrier(gate) as made:
        made.prepared("h1")
        made.prepared("h2")
        # Began at 0.75 and at 1.5 or later; answered by 2.
        assert await asyncio.wait_for(gate.skews.get(), 5) == 1.25


async def test_a_release_whose_answer_was_lost_counts_from_its_first_request() -> None:
    gate = Gate()
    gate.lossy = {"h1"}
    async with barrier(gate) as made:
        made.prepared("h1")
        made.prepared("h2")
        # Asked at 0; h2 answered at 2, h1, which was asked again, at 3.
        assert await asyncio.wait_for(gate.skews.get(), 5) == 3.0
    assert gate.released == ["h1", "h2", "h1"]


@pytest.mark.parametrize("lossy", [set[str](), {"h1"}])
async def test_nothing_is_said_of_a_host_that_an_earlier_collector_may_have_let_go(
    lossy: set[str],
) -> None:
    gate = Gate()
    gate.before, gate.lossy = {"h1"}, set(lossy)
    async with barrier(gate, only=False) as made:
        made.prepared("h1")
        made.prepared("h2")
        await becomes(lambda: len(gate.released) == 2 + len(lossy))
        for _ in range(100):
            await asyncio.sleep(0)
    assert gate.skews.empty()


async def test_a_host_that_began_is_counted_though_its_answer_never_comes() -> None:
    gate = Gate()
    gate.mute = {"h1"}
    async with barrier(gate) as made:
        made.prepared("h1")
        made.prepared("h2")
        await becomes(lambda: len(gate.released) == 2)
        assert gate.skews.empty()
        made.released("h1")
        assert await asyncio.wait_for(gate.skews.get(), 5) >= 2.0
