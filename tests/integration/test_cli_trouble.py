"""Bad input and bad luck, end to end: the message, the way out, the exit code."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from collector.reports.model import Result
from tests.integration.servers import ROOT, Started, agent, collector, tonnage
from tests.integration.test_cli_runs import await_host

TEXT = """\
name: troubled
ready_timeout: 500ms
workload: {image: "fake:ok", readiness: {log: TONNAGE READY}}
targets: [{runtime: fake}]
startup: {trials: 3, warmup: 0}
"""

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("servers")
    with collector(folder) as server, agent(folder, server.address):
        await_host(server.address)
        yield server


@pytest.fixture
def run(served: Started, tmp_path: Path) -> Run:
    """``tonnage run`` of a small experiment, with overrides."""
    path = tmp_path / "troubled.yaml"
    path.write_text(TEXT)

    def go(*overrides: str) -> CompletedProcess[str]:
        flags = [part for override in overrides for part in ("--set", override)]
        return tonnage("run", str(path), "--collector", served.address, "-O", "json", *flags)

    return go


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("startup.trails=3", ("startup.trails", "unknown key", "Did you mean trials?")),
        ("targets.0.memory=128MB", ("targets[0].memory", "'128MB'", "KiB, MiB, GiB")),
        ("targets.0.runtime=podman", ("targets[0].runtime", "'podman'", "Usable there: fake")),
        ("targets.0.memory=9TiB", ("targets[0].memory", "'9TiB'", "Ask for less")),
        ("targets.0.cpus=1024", ("targets[0].cpus", "'1024'", "Ask for")),
        (
            "hosts=[nowhere]",
            ("hosts: host nowhere has not registered", "'nowhere'", "tonnage hosts"),
        ),
    ],
)
def test_a_wrong_experiment_starts_nothing(run: Run, override: str, words: tuple[str]) -> None:
    shown = run(override)
    assert (shown.returncode, shown.stdout) == (2, "")
    for word in words:
        assert word in shown.stderr
    assert "Traceback" not in shown.stderr


def test_an_image_that_does_not_exist_is_invalid_input(run: Run) -> None:
    shown = run("workload.image=fake:missing")
    assert shown.returncode == 2
    assert "fake:missing" in shown.stderr
    assert shown.stderr.count("no such image") == 1
    assert shown.stdout.count("no such image") <= 3  # run, host, and one warning


def test_a_ready_condition_that_never_comes_is_a_timed_out_trial(run: Run) -> None:
    shown = run("workload.image=fake:hang")
    assert shown.returncode == 5
    assert "not one instance became ready" in shown.stderr
    (total,) = [
        row for row in Result.model_validate_json(shown.stdout).startup if row.phase == "total"
    ]
    assert (total.requested, total.ready, total.timed_out, total.n) == (3, 0, 3, 0)
    assert total.p50_seconds is None


def test_an_instance_by_hand_that_the_host_cannot_carry_is_invalid_input(served: Started) -> None:
    shown = tonnage("launch", "fake", "fake:ok", "--cpus", "500", "--collector", served.address)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "error: cpus: host h1 has only" in shown.stderr
    assert "(got '500')" in shown.stderr


@pytest.mark.parametrize("command", [["hosts"], ["launch", "fake", "fake:ok"]])
def test_a_collector_without_hosts_says_how_they_come(tmp_path: Path, command: list[str]) -> None:
    with collector(tmp_path) as server:
        shown = tonnage(*command, "--collector", server.address)
    assert "registers again within 15 s" in shown.stderr
    assert "start one with tonnage-agent" in shown.stderr


def test_an_instance_by_hand_that_never_is_ready_leaves_nothing(served: Started) -> None:
    at = ("--collector", served.address)
    shown = tonnage("launch", "fake", "fake:hang", "--timeout", "300ms", *at)
    assert shown.returncode not in (0, 2)
    assert shown.stdout == ""
    assert "error: the instance was not ready within 0.3 s\n" in shown.stderr
    assert "last seen of the instance:\n  | fake instance " in shown.stderr
    assert json.loads(tonnage("instances", "-O", "json", *at).stdout) == []


def test_a_run_that_does_not_exist_is_invalid_input(served: Started) -> None:
    shown = tonnage("show", "nothing-like-it", "--collector", served.address)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "nothing-like-it" in shown.stderr


def serve(*arguments: str) -> CompletedProcess[str]:
    return tonnage("serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", *arguments)


def told(shown: CompletedProcess[str], *words: str) -> None:
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "Traceback" not in shown.stderr
    for word in words:
        assert word in shown.stderr


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        told(
            tonnage(
                "serve", "--listen", address, "--http", "127.0.0.1:0", "--store", str(tmp_path)
            ),
            address,
        )


def test_a_store_that_cannot_be_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told(serve("--store", str(tmp_path / "file" / "store")), str(tmp_path))


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with collector(tmp_path):
        pass
    (path,) = (tmp_path / "store").glob("*.db")
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    told(serve("--store", str(tmp_path / "store")), "newer")


@pytest.fixture
def long_run(tmp_path: Path) -> str:
    path = tmp_path / "long.yaml"
    path.write_text(TEXT.replace("trials: 3", "trials: 5000"))
    return str(path)


def interrupted(
    arguments: list[str], after: Callable[[str], bool], times: int = 1
) -> tuple[int, str, str]:
    """Run ``tonnage`` and send SIGINT, ``times`` times, once standard error says so."""
    process = subprocess.Popen(
        [sys.executable, "-m", "collector.cli", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if after(line):
            process.send_signal(signal.SIGINT)
            times -= 1
            if not times:
                break
    stdout, rest = process.communicate(timeout=45)
    return process.returncode, stdout, "".join([*said, rest])


def state_of(run_id: str, address: str) -> Result:
    shown = tonnage("show", run_id, "-O", "json", "--collector", address)
    return Result.model_validate_json(shown.stdout)


@pytest.mark.parametrize("moment", ["run ", "h1 ["])
def test_ctrl_c_cancels_the_run_and_keeps_what_was_measured(
    served: Started, long_run: str, moment: str
) -> None:
    code, stdout, stderr = interrupted(
        ["run", long_run, "--collector", served.address, "-O", "json"],
        lambda line: moment in line,
    )
    assert code == 130, stderr
    result = Result.model_validate_json(stdout)
    assert result.run.state == "cancelled"
    assert state_of(result.run.id, served.address) == result
    left = tonnage("instances", "-O", "json", "--collector", served.address)
    assert json.loads(left.stdout) == []


def test_ctrl_c_leaves_a_watched_run_alone(served: Started, long_run: str) -> None:
    at = ("--collector", served.address)
    run_id = tonnage("run", long_run, "--detach", *at).stdout.strip()
    code, stdout, stderr = interrupted(["watch", run_id, *at], lambda line: "h1 [" in line)
    assert (code, stdout) == (130, "")
    assert f"left; run {run_id} goes on" in stderr
    assert state_of(run_id, served.address).run.state == "running"
    assert tonnage("cancel", run_id, *at).returncode == 0
    assert tonnage("watch", run_id, *at).returncode == 130
