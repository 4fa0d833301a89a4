"""Disks that are full for a while, below an agent and below the collector."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.rows import Row, zero
from tests.faults.kills import SPEC, STARTS
from tests.faults.runs import ended, submit
from tests.faults.world import World, world
from tests.proof import Proof
from tonnage.model import RunState

_DISK = "24m"
_CHUNK = b"\0" * 4096
# By which metric a program says that it has no room.
_TELLS = {"h1": "tonnage_agent_spool_full", "store": "tonnage_collector_store_failures_total"}


@dataclass(frozen=True, slots=True)
class Outage:
    """How a run ended whose disk was full for ``seconds`` in the middle of it. ``met``: whether
    the program on that disk said meanwhile that it had no room."""

    state: RunState
    proof: Proof
    left: int
    seconds: float
    met: bool


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own at ``folder``."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tonnage", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """Take all the room there is; the file that holds it."""
    ballast = disk / "ballast"
    fd = os.open(ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while True:
            os.write(fd, _CHUNK)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.close(fd)
    return ballast


async def outage(folder: Path, full: str, seconds: float) -> Outage:
    """One run on one host, during which the disk below ``full`` (``h1`` or ``store``) has
    no room for ``seconds``."""
    with small_disk(folder / full) as disk:
        async with world(folder, ["h1"]) as made:
            run_id = await submit(made, SPEC, 1)
            await _rows_stored(made, run_id)
            before = await asyncio.to_thread(_told, made, full)
            ballast = fill(disk)
            began = time.monotonic()
            met = await _met(made, full, before, seconds)
            ballast.unlink()
            lasted = time.monotonic() - began
            state = await ended(made, run_id)
            left = len(made.fakes())
            return Outage(state, made.prove(run_id, "h1", STARTS), left, lasted, met)


async def _met(made: World, full: str, before: float, seconds: float) -> bool:
    """Wait, and see whether the program told of the disk by its metrics."""
    met, until = False, time.monotonic() + seconds
    while time.monotonic() < until:
        met = met or await asyncio.to_thread(_told, made, full) > before
        await asyncio.sleep(0.1)
    return met


def _told(made: World, full: str) -> float:
    """What the program on that disk says of it, as a number: more is worse."""
    address = made.agents["h1"].where["metrics"] if full == "h1" else made.collector.where["http"]
    with urlopen(f"http://{address}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = (sample for family in families for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == _TELLS[full])


async def _rows_stored(made: World, run_id: str) -> None:
    """Wait until something of the run is in the store: it is under way."""
    async with asyncio.timeout(60), made.client() as client:
        while True:
            if any(run.run_id == run_id and run.trials for run in await client.runs()):
                return
            await asyncio.sleep(0.05)


def rows(where: str, found: Outage) -> list[Row]:
    """Nothing is lost, and the run comes to its end."""
    wrong = found.proof.lost + found.proof.doubled + found.proof.repeated + found.proof.unmade
    note = f"full for {found.seconds:.1f} s, run {found.state}, {found.proof.trials} trials"
    return [
        zero(f"{where}'s disk full: rows lost, doubled, repeated or unmade", wrong, 1, note),
        zero(f"{where}'s disk full: run not finished", found.state is not RunState.FINISHED, 1),
        zero(f"{where}'s disk full: instances left", found.left, 1),
        zero(f"{where}'s disk full: not noticed", int(not found.met), 1),
    ]


async def measure(size: float = 1.0) -> Sequence[Row]:
    """Ten seconds each at full size."""
    found: list[Row] = []
    for where, full in (("agent", "h1"), ("collector", "store")):
        with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as folder:
            found += rows(where, await outage(Path(folder), full, max(10 * size, 1.0)))
    return found
