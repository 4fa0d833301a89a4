"""Ending a start that is in flight."""

from __future__ import annotations

import asyncio

import pytest

from agent.runner.holdings import Holding
from agent.storage.journal import Entry
from tonnage.model import Accelerator, Outcome, Population, Trial

TRIAL = Trial(
    trial_id="t",
    stage_id="startup",
    target_id="fake",
    accelerator=Accelerator.NONE,
    population=Population.MEASURED,
    concurrency=1,
    block=0,
    number=0,
    attempt=1,
    outcome=Outcome.INTERRUPTED,
    requested_at_unix_ns=5,
)


def starting() -> Holding:
    return Holding(Entry("i1", "fake", "run-1", "fake:ok", TRIAL))


async def start(holding: Holding, seconds: float) -> None:
    """A start that never becomes ready and is called off again while it cleans up."""
    async with asyncio.timeout(seconds) as holding.deadline:
        try:
            await asyncio.Event().wait()
        finally:
            holding.cancel()


async def test_cancelling_ends_a_start_at_once_and_twice_is_as_good() -> None:
    holding = starting()
    asyncio.get_running_loop().call_soon(holding.cancel)
    with pytest.raises(TimeoutError):
        await start(holding, 50)
    assert holding.cancelled


async def test_a_start_whose_time_is_over_is_not_called_cancelled_while_it_cleans_up() -> None:
    holding = starting()
    with pytest.raises(TimeoutError):
        await start(holding, 0)
    assert not holding.cancelled
