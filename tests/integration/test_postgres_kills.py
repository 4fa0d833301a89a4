"""Kill -9 of collectors on PostgreSQL, and of PostgreSQL, in the middle of runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from collector.client import Client
from deploy.postgres import PrivatePostgres
from tests.faults import kills
from tests.faults.runs import last_state, submit
from tests.faults.world import World, world
from tests.integration.collector_process import collector_process
from tonnage.model import RunState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
_STARTS = 400
_SPEC = {
    "name": "kills",
    "targets": [{"runtime": "fake"}],
    "workload": kills.SPEC["workload"],
    "startup": {"trials": _STARTS, "warmup": 0, "concurrency": [4]},
}


class _Database:
    """PostgreSQL as a victim."""

    def __init__(self, postgres: PrivatePostgres) -> None:
        self._postgres = postgres

    async def kill(self) -> None:
        await asyncio.to_thread(self._postgres.kill)

    async def start(self) -> None:
        await asyncio.to_thread(self._postgres.start)


async def test_kills_of_collector_and_database_lose_nothing(
    tmp_path: Path, own_postgres: PrivatePostgres
) -> None:
    url = own_postgres.create_database("d")
    async with world(tmp_path / "world", ["h1"], store=url) as made:
        # Started in the order of their names: the collector cannot without PostgreSQL.
        victims: dict[str, kills.Victim] = {
            "PostgreSQL": _Database(own_postgres),
            "collector": made.collector,
        }
        # Of this seed both are killed at once to begin with, then each alone.
        plan = kills.Campaign(kills.SPEC, kills.STARTS, 4, lambda: len(made.fakes()), seed=0)
        toll = await kills.fight(made, victims, plan)
    assert {"PostgreSQL", "collector"} <= toll.kills.keys()
    assert sum(proof.trials for proof in toll.proofs) >= kills.STARTS
    assert [row for row in kills.rows(toll, "postgres") if not row.ok] == []


async def _half_done(made: World, run_id: str) -> None:
    async with made.client() as client:
        async for progress in client.watch(run_id):
            if progress.hosts[0].ready >= _STARTS / 4 and not progress.state.ended:
                return
    raise AssertionError("the run ended before")


async def test_a_run_goes_on_under_another_collector_when_its_own_is_killed(
    tmp_path: Path, postgres_url: str
) -> None:
    flags = ("--store", postgres_url, "--lease", "2")
    async with (
        world(tmp_path / "world", ["h1"], store=postgres_url) as made,
        collector_process(tmp_path, *flags) as second,
    ):
        run_id = await submit(made, _SPEC, 1)
        await _half_done(made, run_id)
        await made.collector.kill()
        async with asyncio.timeout(90), Client(second.address) as client:
            assert await last_state(client, run_id) is RunState.FINISHED
        proof = made.prove(run_id, "h1", _STARTS)
        assert proof.holds, proof
        assert proof.trials == _STARTS
        assert made.fakes() == []
