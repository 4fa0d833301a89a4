"""The parts of an agent in the test's own process, with a runtime that waits to be let."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from agent.config import AgentConfig
from agent.opening import open_parts
from agent.runner.equipment import Equipment
from agent.runner.manual import Manual
from agent.runner.red_button import RedButton
from agent.runner.runs import Runs
from agent.runtimes.base import Prepared, Runtime
from agent.runtimes.fake.runtime import FakeRuntime
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import Event, Fingerprint, Trial, Workload
from tonnage.wire import from_bytes


class Gated(FakeRuntime):
    """A fake that is looked at, or makes an image ready, only when it may."""

    def __init__(self, settings: RuntimeSettings) -> None:
        super().__init__(settings)
        self.asked, self.may = asyncio.Event(), asyncio.Event()

    async def fingerprint(self) -> Fingerprint:
        await self._gate()
        return await super().fingerprint()

    async def prepare(self, workload: Workload) -> Prepared:
        await self._gate()
        return await super().prepare(workload)

    async def _gate(self) -> None:
        self.asked.set()
        await self.may.wait()


class House:
    """The parts of an agent whose runtime is gated."""

    def __init__(self, equipment: Equipment, gate: Gated) -> None:
        self.gate = gate
        self.equipment = equipment
        self.runs = Runs(equipment)
        self.manual = Manual(equipment)

    async def stop_all(self) -> list[object]:
        """Press the red button; both its answers."""
        button = RedButton(self.equipment, self.runs, self.manual)
        return [answer async for answer in button.press()]


@asynccontextmanager
async def open_house(
    data_dir: Path, runtime: type[Gated] = Gated, **settings: Any
) -> AsyncIterator[House]:
    """Made with small guards, but for these settings."""
    small = {"guard_memory_headroom_bytes": 1, "guard_disk_headroom_bytes": 1}
    config = AgentConfig(data_dir=data_dir, runtimes=("fake",), **{**small, **settings})
    with ThreadPoolExecutor(2) as disk:
        async with AsyncExitStack() as stack:
            equipment = await open_parts(config, disk, stack)
            gate = runtime(RuntimeSettings(equipment.agent_id, data_dir / "runtimes"))
            cast("dict[str, Runtime]", equipment.runtimes)["fake"] = gate
            yield House(equipment, gate)


async def events_of(house: House) -> list[Event]:
    """All of the run's events, at its end."""
    log, events = house.runs.log("run-1"), list[Event]()
    while batch := await log.read(len(events), 100, 1 << 20):
        events += [from_bytes(data, Event) for data in batch]
    return events


def trials(events: list[Event]) -> list[Trial]:
    return [event.payload for event in events if isinstance(event.payload, Trial)]
