"""The faults of ``make faults`` in short form."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from benchmarks.rows import Row
from collector.spec import parse
from tests.faults import clock, disk, docker_kills, fuzz, kills, network, slow_collector, swarm
from tests.faults.inputs import WHOLE
from tests.faults.world import world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def missed(rows: list[Row]) -> list[Row]:
    """The rows that are not as they should be."""
    assert rows
    return [row for row in rows if not row.ok]


async def test_kills_lose_nothing(tmp_path: Path) -> None:
    toll = await kills.fake_kills(tmp_path / "world", 8, seed=1)
    assert sum(proof.trials for proof in toll.proofs) >= 2 * kills.STARTS
    assert missed(kills.rows(toll, "fake")) == []


@pytest.mark.docker
async def test_kills_of_the_engine_too_lose_nothing(tmp_path: Path, docker_host: str) -> None:
    toll = await docker_kills.docker_kills(tmp_path, 3)
    assert toll.kills["engine"] > 0
    assert missed(kills.rows(toll, "docker")) == []


async def test_a_cut_host_is_given_up_and_taken_up_again_whole(tmp_path: Path) -> None:
    found = await network.cut(tmp_path, 12.0, lost_after=3.0)
    assert found.meanwhile == "partial"
    assert missed(network.rows("cut", found, given_up=True)) == []


@pytest.mark.parametrize("full", ["h1", "store"])
async def test_a_full_disk_loses_nothing(tmp_path: Path, full: str) -> None:
    assert missed(disk.rows(full, await disk.outage(tmp_path / "world", full, 2.0))) == []


async def test_clocks_that_jump_change_nothing(tmp_path: Path) -> None:
    found = await clock.stepped(tmp_path, 0.4, starts=120)
    assert found.steps >= 2
    assert missed(clock.rows(found)) == []


async def test_starts_that_fall_into_a_standstill_of_the_collector_do_not_take_twice_as_long(
    tmp_path: Path,
) -> None:
    """A smaller difference is the long form's to rule out: a short one cannot."""
    found = await slow_collector.starts(tmp_path, "fake", 800)
    assert len(found.still) > 50
    assert len(found.working) > 50
    (ratio,) = slow_collector.rows("fake", found, enough=False)
    assert ratio.value < 2


@pytest.mark.parametrize(
    ("slower", "starts", "good"),
    [(1.0, 145, True), (1.5, 145, False), (1.5, 6, False), (1.0, 6, False), (1.0, 0, False)],
)
def test_a_standstill_must_be_shown_to_cost_little(slower: float, starts: int, good: bool) -> None:
    took = np.random.default_rng(1).normal(0.4, 0.06, (2, starts))
    found = slow_collector.Starts((*(took[0] * slower),), (*took[1],))
    assert (missed(slow_collector.rows("docker", found)) == []) is good


async def test_one_run_reaches_many_agents(tmp_path: Path) -> None:
    assert missed(swarm.rows(await swarm.swarm(tmp_path, 40, 1.0))) == []


async def test_nonsense_is_refused_and_nothing_dies_of_it(tmp_path: Path) -> None:
    parse(json.dumps(WHOLE))  # what is altered is right to begin with
    calls, files = await fuzz.fuzz(tmp_path, 3000, 500)
    assert calls.statuses["OK"] > 0
    assert (calls.defects + files.defects, calls.hangs + files.hangs) == ([], [])


async def test_a_command_whose_caller_leaves_ends_only_itself(tmp_path: Path) -> None:
    """gRPC frees a call's peer with the call: whoever asks for it afterwards kills the process."""
    async with world(tmp_path, ["h1"]) as made, made.client() as client:
        while not any(host.healthy for host in await client.hosts()):
            pass
        await asyncio.to_thread(leave, made.collector.where["listening"], 100)
        await made.collector.stop()  # raises unless it is alive and ends in order


def leave(address: str, times: int) -> None:
    """Press the red button and go away at the first answer."""
    with grpc.insecure_channel(address) as channel:
        press: Any = channel.unary_stream("/tonnage.v1.CollectorService/StopAll")
        for _ in range(times):
            answers = press(b"", timeout=10)
            next(answers, None)
            answers.cancel()
