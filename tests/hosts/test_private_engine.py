"""The private engine: lent to a command, shared, and gone without a trace."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.private_engine import PrivateEngine

CHECKOUT = Path(__file__).resolve().parents[2]
PING = (
    "import docker, os; c = docker.from_env(); c.ping(); c.close(); "
    "print(os.environ['DOCKER_HOST'])"
)
END_SECONDS = 40

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("dockerd", path="/usr/bin:/usr/sbin:/sbin") is None,
        reason="a private engine needs root and dockerd",
    ),
]


def started(home: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.engine", *command],
        cwd=CHECKOUT,
        env={**os.environ, "TONNAGE_PRIVATE_ENGINE": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def beside(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Whatever the test finds, the process ends and its pipes are closed."""
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def bridges() -> set[str]:
    """Of this host, by name."""
    return {folder.parent.name for folder in Path("/sys/class/net").glob("*/bridge")}


BEFORE = bridges()


def traces(home: Path) -> list[str]:
    """What is left of the engine on this machine."""
    engine = PrivateEngine(home.resolve())
    mounts = Path("/proc/self/mountinfo").read_text()
    names = [str(home), str(engine.run)]
    return [
        *(f"process {pid}" for pid in engine._daemons("")),
        *(f"mounts below {name}" for name in names if name in mounts),
        *(f"folder {engine.run}" for _ in range(engine.run.exists())),
        *(f"bridge {name}" for name in bridges() - BEFORE),
        *(f"without bridge {name}" for name in BEFORE - bridges()),
    ]


@pytest.mark.parametrize("depth", [0, 100], ids=["near", "too deep for a socket's path"])
def test_a_command_gets_an_engine_that_ends_with_it(tmp_path: Path, depth: int) -> None:
    home = tmp_path / ("d" * depth) / "engine"
    with beside(started(home, sys.executable, "-c", f"{PING}; raise SystemExit(7)")) as process:
        output, errors = process.communicate(timeout=END_SECONDS)
    assert (process.returncode, output.startswith("unix://")) == (7, True), errors
    assert traces(home) == []


def test_an_interrupt_reaches_the_command_once_and_the_engine_ends(tmp_path: Path) -> None:
    program = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("up", flush=True)
signal.sigwait([signal.SIGINT])
sys.exit(5 if signal.sigtimedwait([signal.SIGINT], 0.5) is None else 6)
"""
    with beside(started(tmp_path, sys.executable, "-c", program)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 5, errors
    assert traces(tmp_path) == []


def test_an_interrupt_while_the_engine_starts_leaves_nothing(tmp_path: Path) -> None:
    log = tmp_path / "dockerd.log"
    os.mkfifo(log)
    with beside(started(tmp_path, "true")) as process:
        # Opening the log's other end waits for dockerd: from then on it is starting.
        with log.open("rb") as output:
            output.readline()
            process.send_signal(signal.SIGTERM)
            while output.read(65536):
                pass
        process.communicate(timeout=END_SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    assert traces(tmp_path) == []


def test_commands_share_an_engine_and_the_last_one_ends_it(tmp_path: Path) -> None:
    waits = f"{PING}; print('up', flush=True); input(); {PING}"
    with beside(started(tmp_path, sys.executable, "-c", waits)) as first:
        assert first.stdout is not None
        address = first.stdout.readline()
        assert first.stdout.readline() == "up\n"
        with beside(started(tmp_path, sys.executable, "-c", PING)) as second:
            output, errors = second.communicate(timeout=END_SECONDS)
        assert (second.returncode, output) == (0, address), errors
        output, errors = first.communicate("\n", timeout=END_SECONDS)
    assert (first.returncode, output) == (0, address), errors
    assert traces(tmp_path) == []


def test_an_engine_whose_user_was_killed_is_ended_by_the_next(tmp_path: Path) -> None:
    with beside(
        started(tmp_path, sys.executable, "-c", "print('up', flush=True); input()")
    ) as lost:
        assert lost.stdout is not None
        assert lost.stdout.readline() == "up\n"
        lost.kill()
        lost.communicate(timeout=END_SECONDS)
    assert traces(tmp_path) != []
    with beside(started(tmp_path, "true")) as process:
        _, errors = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0, errors
    assert traces(tmp_path) == []


def test_a_command_that_does_not_exist_is_told_in_one_line(tmp_path: Path) -> None:
    with beside(started(tmp_path, "tonnage-no-such-command")) as process:
        _, errors = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 127
    assert "tonnage-no-such-command: No such file or directory" in errors
    assert "Traceback" not in errors
