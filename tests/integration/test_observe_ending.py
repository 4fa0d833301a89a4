"""Whatever ends an observed fleet, nothing of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.postgres import PrivatePostgres
from tests.integration.observed import CHECKOUT, processes, reachable_folder

PROGRAM = """
import asyncio, signal, sys
from pathlib import Path
from deploy.observe.gate import Gate
from deploy.observe.stack import stack

async def up(folder, falls):
    flags = lambda host: ("--runtimes", "fake")
    async with stack(folder, ("h1",), flags, lambda _: None, Gate(None, folder)) as made:
        for host in falls:
            await made.agents[host].kill()
        print("up", flush=True)
        await asyncio.Event().wait()

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
asyncio.run(up(Path(sys.argv[1]), sys.argv[2:]))
"""
PROGRAMS = 5  # PostgreSQL and who started it, collector, agent, Prometheus
GONE_SECONDS = 30

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def folder(postgres: PrivatePostgres, prometheus: str) -> Iterator[Path]:
    """For a fleet, where there is what it takes."""
    with reachable_folder() as made:
        yield made


@contextmanager
def up(folder: Path, *falls: str, end: signal.Signals) -> Iterator[None]:
    """A fleet of h1 by a process that gets ``end`` after the block; agents that fall are killed
    first. All of it must be gone soon after."""
    command = [sys.executable, "-c", PROGRAM, str(folder), *falls]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as starter:
        try:
            assert starter.stdout is not None
            assert starter.stdout.readline() == b"up\n"
            yield
        finally:
            starter.send_signal(end)
    deadline = time.monotonic() + GONE_SECONDS
    while left := [*processes(folder)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_all_programs_end_with_who_started_them(folder: Path) -> None:
    with up(folder, end=signal.SIGKILL):
        assert len([*processes(folder)]) > PROGRAMS  # the starter itself is one more


def test_ctrl_c_ends_all_and_starts_an_agent_that_fell_once_more_to_tidy_up(folder: Path) -> None:
    log = folder / "logs" / "h1.log"
    with up(folder, "h1", end=signal.SIGINT):
        before = len(log.read_text())
    assert '"stopping' in log.read_text()[before:]
