"""Real servers as processes, for tests of the whole path."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 30
STOP_SECONDS = 20


@dataclass(frozen=True)
class Started:
    """A server that serves."""

    address: str
    process: subprocess.Popen[str]


@contextmanager
def started(module: str, arguments: Sequence[str], log: Path) -> Iterator[Started]:
    """Run a server until the end of the block; it must then end by itself, with 0."""
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        yield Started(address_of(process, log), process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            assert process.stdout is not None
            process.stdout.close()
    assert code == 0, log.read_text()


def address_of(process: subprocess.Popen[str], log: Path) -> str:
    """Where a server listens, from the one line it prints."""
    assert process.stdout is not None
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    assert line, log.read_text()
    return str(json.loads(line)["listening"])


@contextmanager
def collector(folder: Path) -> Iterator[Started]:
    """A collector with a store below ``folder``."""
    arguments = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    arguments += ["--store", str(folder / "store")]
    with started("collector.app", arguments, folder / "collector.log") as server:
        yield server


@contextmanager
def agent(folder: Path, address: str, name: str = "h1") -> Iterator[Started]:
    """An agent with the fake runtime that has registered with the collector at ``address``."""
    arguments = ["--name", name, "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]
    arguments += ["--collector", address, "--data-dir", str(folder / name), "--runtimes", "fake"]
    with started("agent.app", arguments, folder / f"{name}.log") as server:
        yield server


def tonnage(
    *arguments: str, seconds: float = 45, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one ``tonnage`` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "collector.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
