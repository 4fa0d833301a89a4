"""Whatever ends an observed fleet, nothing of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.observe.gate import Gate
from deploy.observe.stack import stack
from deploy.postgres import PrivatePostgres
from tests.integration.observed import CHECKOUT, processes, reachable_folder

PROGRAM = """
import asyncio, signal, sys
from pathlib import Path
from deploy.observe.gate import Gate
from deploy.observe.stack import stack

async def up(folder):
    flags = lambda host: ("--runtimes", "fake")
    async with stack(folder, ("h1",), flags, lambda _: None, Gate(None, folder)) as made:
        print("up", flush=True)
        await asyncio.Event().wait()

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
asyncio.run(up(Path(sys.argv[1])))
"""
PROGRAMS = 5  # PostgreSQL and who started it, collector, agent, Prometheus
GONE_SECONDS = 30


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_all_programs_end_with_who_started_them(
    folder: Path, postgres: PrivatePostgres, prometheus: str, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as starter:
        try:
            assert starter.stdout is not None
            assert starter.stdout.readline() == b"up\n"
            assert len([*processes(folder)]) > PROGRAMS  # the starter itself is one more
        finally:
            starter.send_signal(number)
    deadline = time.monotonic() + GONE_SECONDS
    while left := [*processes(folder)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.mark.slow
async def test_an_agent_that_fell_is_started_once_more_to_tidy_up(
    folder: Path, postgres: PrivatePostgres, prometheus: str
) -> None:
    def flags(_: str) -> tuple[str, str]:
        return "--runtimes", "fake"

    log = folder / "logs" / "h1.log"
    async with stack(folder, ("h1",), flags, lambda _: None, Gate(None, folder)) as made:
        await made.agents["h1"].kill()
        before = len(log.read_text())
    assert '"stopping' in log.read_text()[before:]
    assert not [*processes(folder)]
