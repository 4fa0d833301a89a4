"""Runs in a world where any program may be away at the moment."""

from __future__ import annotations

import asyncio
import json

from collector.client import Client
from collector.errors import Unreachable
from tests.faults.world import World
from tonnage.model import RunState

_RUN_SECONDS = 120.0


async def submit(made: World, spec: object, hosts: int) -> str:
    """Submit once so many hosts are there; the run's id."""
    async with asyncio.timeout(_RUN_SECONDS), made.client() as client:
        while True:
            try:
                if sum(host.healthy for host in await client.hosts()) == hosts:
                    return await client.submit(json.dumps(spec))
            except Unreachable:
                pass
            await asyncio.sleep(0.1)


async def state_of(made: World, run_id: str) -> RunState | None:
    """Where the run stands; ``None`` while the collector does not say."""
    async with made.client() as client:
        try:
            return next((run.state for run in await client.runs() if run.run_id == run_id), None)
        except Unreachable:
            return None


async def ended(made: World, run_id: str, seconds: float = _RUN_SECONDS) -> RunState:
    """Wait for the run's end; how it ended."""
    async with asyncio.timeout(seconds), made.client() as client:
        return await last_state(client, run_id)


async def last_state(client: Client, run_id: str) -> RunState:
    """The state in the last of a run's updates."""
    state = RunState.PENDING
    async for progress in client.watch(run_id):
        state = progress.state
    return state
