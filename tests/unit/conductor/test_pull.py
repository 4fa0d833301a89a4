"""What a pull tells before anything is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import cast

from collector.agents import Agent
from collector.conductor.pull import Pull
from collector.stores.base import Store
from tonnage.v1 import model_pb2


def event(sequence: int, kind: str) -> model_pb2.Event:
    made = model_pb2.Event(sequence=sequence)
    getattr(made, kind).SetInParent()
    return made


class Told:
    """An agent that tells these batches, and then nothing."""

    def __init__(self, *batches: Sequence[model_pb2.Event]) -> None:
        self.batches = batches

    async def events(
        self, run_id: str, after: int
    ) -> AsyncGenerator[Sequence[model_pb2.Event], None]:
        for batch in self.batches:
            yield batch
        await asyncio.Event().wait()


class Stuck:
    """A store that never ends what it began."""

    async def append(self, run_id: str, host: str, events: Sequence[model_pb2.Event]) -> int:
        await asyncio.Event().wait()
        return 0


async def prepared_times(*batches: Sequence[model_pb2.Event]) -> int:
    """How often it was told that the host is prepared, while the store does nothing."""
    told: list[None] = []
    agent, store = cast("Agent", Told(*batches)), cast("Store", Stuck())
    pull = Pull(("run-1", "h1"), agent, store, lambda *_: None, lambda: told.append(None))
    task = asyncio.create_task(pull.events_after(0))
    for _ in range(50):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return len(told)


async def test_a_host_is_prepared_before_that_is_stored() -> None:
    assert await prepared_times([event(1, "run_started")], [event(2, "run_prepared")]) == 1
    assert await prepared_times([event(1, "run_started"), event(2, "run_prepared")]) == 1


async def test_a_host_that_is_at_work_is_not_looked_at_any_more() -> None:
    first = [event(1, "run_started"), event(2, "run_prepared"), event(3, "stage_started")]
    assert await prepared_times(first, [event(4, "run_prepared")]) == 1
    assert await prepared_times([event(7, "trial")]) == 0
