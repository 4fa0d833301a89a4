"""Three hosts in network namespaces over mutual TLS: one dies in a run, and comes back."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from deploy.fleet.fleet import Fleet, fleet
from deploy.fleet.story import HOSTS, submit, tell
from deploy.programs import ProgramFailed
from tests.proof import prove

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

_STARTS = 150
FLAGS = ("--runtimes", "fake", "--guard-memory-headroom-bytes", "1")
SPEC = f"""
name: fleet
hosts: {{where: "cpus >= 1", expect: 3, wait: 60s, barrier: 30s}}
workload:
  image: fake:ok
  readiness: {{log: TONNAGE READY}}
  environment: {{FAKE_DURABLE: "1", FAKE_READY_MS: "<READY>"}}
targets: [{{runtime: fake}}]
startup: {{trials: {_STARTS}, warmup: 0}}
footprint: {{counts: [2, 4], settle: 20ms}}
"""


def test_a_host_that_dies_makes_the_run_partial_and_completes_it_when_it_is_back(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    run_id = asyncio.run(tell(tmp_path, spec(tmp_path), (), FLAGS, said.append))
    told = "".join(said)
    before, _, after = told.partition("h3 is back")
    assert "2 of 3 hosts" in before
    assert "2 of 3 hosts" not in after
    assert "partial" not in after
    assert "no instances" in after
    for host in HOSTS:
        spool = tmp_path / host / "spool" / run_id / "events.log"
        proof = prove(tmp_path / "store" / "tonnage.db", spool, (run_id, host), _STARTS)
        assert proof.holds, (host, proof)
    assert left(tmp_path) == []


class Broken(Exception):
    """What ends a fleet in the middle of a run."""


async def test_one_that_fails_in_a_run_leaves_no_instance_not_even_of_an_agent_that_fell(
    tmp_path: Path,
) -> None:
    async def fails(made: Fleet) -> None:
        await made.agents["h3"].kill()
        made.hosts["h3"].cut()
        raise Broken

    with pytest.raises(Broken):
        await during_starts(tmp_path, fails)
    assert left(tmp_path) == []


async def test_one_whose_agent_ends_by_itself_fails_and_leaves_nothing_either(
    tmp_path: Path,
) -> None:
    with pytest.raises(ProgramFailed, match="ended by itself: h1"):
        await during_starts(tmp_path, lambda made: made.agents["h1"].kill())
    assert left(tmp_path) == []


async def during_starts(folder: Path, happens: Callable[[Fleet], Awaitable[None]]) -> None:
    """A fleet to which that happens while each host has an instance that is not ready yet."""
    async with fleet(folder, HOSTS, FLAGS, lambda _: None) as made:
        await submit(made, spec(folder, ready_ms=30_000), ())
        while not all(fakes(folder / host) for host in HOSTS):
            await made.tonnage("instances", quiet=True)
        await happens(made)


def spec(folder: Path, ready_ms: int = 40) -> Path:
    """The experiment's file."""
    path = folder / "spec.yaml"
    path.write_text(SPEC.replace("<READY>", str(ready_ms)))
    return path


def left(folder: Path) -> list[str]:
    """Instances and network namespaces."""
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.splitlines()
    ours = [space for space in spaces if f"tng{os.getpid():x}" in space]
    return ours + [str(path) for host in HOSTS for path in fakes(folder / host)]


def fakes(data_dir: Path) -> list[Path]:
    """Durable fake instances: files that outlive their agent."""
    return [*data_dir.glob("runtimes/fake/*.json")]
