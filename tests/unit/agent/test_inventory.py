"""Runtimes that come up after the agent, and runtimes that cannot be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.runner.inventory import Inventory
from agent.runtimes.fake.runtime import FakeRuntime
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import Fingerprint, RuntimeState


class Patient(FakeRuntime):
    """Found to be what it is said to be; tells how often it was looked at."""

    def __init__(self, settings: RuntimeSettings) -> None:
        super().__init__(settings)
        self.state = RuntimeState.UNDETECTED
        self.looks = 0
        self.looked = asyncio.Condition()

    async def fingerprint(self) -> Fingerprint:
        async with self.looked:
            self.looks += 1
            self.looked.notify_all()
        return Fingerprint(self.name, self.state, "as it was said")

    async def looked_at(self, times: int) -> None:
        """Wait until it was looked at so often."""
        async with self.looked:
            await self.looked.wait_for(lambda: self.looks >= times)


class Hopeless(FakeRuntime):
    """Raises where it should tell."""

    async def fingerprint(self) -> Fingerprint:
        raise RuntimeError("no idea")


@pytest.fixture
def settings(tmp_path: Path) -> RuntimeSettings:
    return RuntimeSettings("an agent", tmp_path)


@asynccontextmanager
async def kept(inventory: Inventory, busy: Callable[[], bool]) -> AsyncIterator[None]:
    """The inventory is kept current within the block."""
    keeping = asyncio.create_task(inventory.keep_current(busy, 0.001))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


async def test_an_engine_that_comes_up_later_is_found_and_one_that_goes_is_missed(
    settings: RuntimeSettings,
) -> None:
    late, well = Patient(settings), Patient(settings)
    well.state = RuntimeState.HEALTHY
    inventory = Inventory({"late": late, "well": well})
    async with kept(inventory, lambda: False):
        await late.looked_at(3)
        assert _states(inventory) == {"late": "undetected", "well": "healthy"}
        late.state, well.state = RuntimeState.HEALTHY, RuntimeState.UNHEALTHY
        await well.looked_at(well.looks + 2)  # the look before the last is over
    assert _states(inventory) == {"late": "healthy", "well": "unhealthy"}


def _states(inventory: Inventory) -> dict[str, str]:
    return {name: found.state.value for name, found in inventory.found.items()}


async def test_nothing_is_looked_at_beside_a_run(settings: RuntimeSettings) -> None:
    sick = Patient(settings)
    asked = asyncio.Event()
    answers = iter([True] * 5)

    def busy() -> bool:
        if (answer := next(answers, False)) is False:
            asked.set()
        else:
            assert sick.looks == 1
        return answer

    async with kept(Inventory({"sick": sick}), busy):
        await sick.looked_at(2)
    assert asked.is_set()


async def test_what_is_known_is_told_at_once_beside_a_look_that_takes_long(
    settings: RuntimeSettings,
) -> None:
    sick = Patient(settings)
    inventory = Inventory({"sick": sick})
    before = await inventory.current()
    async with sick.looked:  # no look comes to its end
        looking = asyncio.create_task(inventory.recheck(["sick"]))
        await asyncio.sleep(0)
        assert await inventory.current() is before
    assert (await looking)["sick"].state is RuntimeState.UNDETECTED


async def test_a_runtime_that_raises_is_unhealthy_and_hurts_no_other(
    settings: RuntimeSettings,
) -> None:
    found = await Inventory({"a": Hopeless(settings), "b": Patient(settings)}).current()
    assert found["a"].state is RuntimeState.UNHEALTHY
    assert "RuntimeError: no idea" in found["a"].reason
    assert found["b"].reason == "as it was said"
