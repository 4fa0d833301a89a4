"""When hosts are let go, and what is said of how far apart they began."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from collector.conductor.barrier import Barrier
from collector.errors import Unreachable


class Clock:
    """Goes on by one second each time it is asked."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


class Gate:
    """Releases hosts; of those in ``lossy`` the first answer is lost. ``before`` were
    released by another collector; ``mute`` never answer."""

    def __init__(self) -> None:
        self.lossy: set[str] = set()
        self.mute: set[str] = set()
        self.before: set[str] = set()
        self.released: list[str] = []
        self.skews: asyncio.Queue[float] = asyncio.Queue()

    async def release(self, host: str) -> bool:
        known = host in self.before
        self.before.add(host)
        self.released.append(host)
        if host in self.mute:
            await asyncio.Event().wait()
        if host in self.lossy:
            self.lossy.discard(host)
            raise Unreachable("the answer was lost")
        return known

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
    made = Barrier(gate, 3600.0, Clock(), only=only)
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
        # Asked at 1 and 2, answered at 3 and 4.
        assert await asyncio.wait_for(gate.skews.get(), 5) == 3.0


async def test_a_release_whose_answer_was_lost_counts_from_its_first_request() -> None:
    gate = Gate()
    gate.lossy = {"h1"}
    async with barrier(gate) as made:
        made.prepared("h1")
        made.prepared("h2")
        # Asked at 1 and 2; h2 answered at 3, h1, which was asked again, at 4.
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
