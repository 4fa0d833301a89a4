"""``tonnage demo`` as a user meets it: it shows everything and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from collector.reports.model import Result
from tests.integration.servers import ROOT

TEXT = """\
name: shown
workload:
  image: fake:ok
  readiness: {log: TONNAGE READY}
  environment: {FAKE_READY_MS: 5}
targets: [{runtime: fake}, {runtime: docker}]
startup: {trials: 5, per_target: {docker: {trials: 4}}}
compare: {baseline: docker}
"""

Demo = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "shown.yaml").write_text(TEXT)
    return tmp_path


@pytest.fixture
def demo(place: Path) -> Demo:
    """Start ``tonnage demo`` with the fake runtime alone; its temporary files go to ``place``."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        flags = ["--out", str(place / "out"), "--runtimes", "fake", *arguments]
        return subprocess.Popen(
            [sys.executable, "-m", "collector.cli", "demo", str(place / "shown.yaml"), *flags],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(place / "temporary")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def children_of(place: Path) -> list[psutil.Process]:
    """Every process that was given the temporary folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(place / "temporary") in part for part in process.info["cmdline"] or ())
    ]


def nothing_is_left(place: Path) -> bool:
    return not children_of(place) and not list((place / "temporary").iterdir())


def test_it_shows_and_writes_the_result(demo: Demo, place: Path) -> None:
    stdout, stderr = demo().communicate(timeout=50)
    written = {path.name for path in (place / "out").iterdir()}
    assert written == {"result.json", "report.html", "trials.csv", "collector.log", "agent.log"}
    result = Result.model_validate_json((place / "out/result.json").read_text())
    assert (result.run.state, [row.ready for row in result.startup][:1]) == ("finished", [5])
    assert "fake" in stdout
    assert "\x1b" not in stdout + stderr
    assert nothing_is_left(place)


def test_a_runtime_that_is_not_there_is_left_out_with_a_notice(demo: Demo, place: Path) -> None:
    process = demo("--output", "json")
    stdout, stderr = process.communicate(timeout=50)
    assert process.returncode == 0, stderr
    assert "notice: docker is left out" in stderr
    assert json.loads(stdout)["run"]["spec"]["targets"][0]["runtime"] == "fake"
    assert len(json.loads(stdout)["run"]["spec"]["targets"]) == 1


def test_a_host_without_any_runtime_is_told_why(demo: Demo, place: Path) -> None:
    process = demo("--set", "targets=[{runtime: docker}]", "--set", "startup.per_target={}")
    stdout, stderr = process.communicate(timeout=50)
    assert (process.returncode, stdout) == (2, "")
    assert "no runtime of the experiment can be used" in stderr
    assert nothing_is_left(place)


def test_a_folder_that_cannot_be_made_is_told_before_anything_starts(
    demo: Demo, place: Path
) -> None:
    process = demo("--out", str(place / "shown.yaml" / "out"))
    stdout, stderr = process.communicate(timeout=50)
    assert (process.returncode, stdout) == (2, "")
    assert "--out" in stderr


def wait_for(condition: Callable[[], object]) -> None:
    """No event tells these tests how far another process has come."""
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


def until(process: "subprocess.Popen[str]", said: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if said in line:
            return
    pytest.fail(f"never said {said}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_at_the_start_leaves_nothing(
    demo: Demo, place: Path, number: signal.Signals
) -> None:
    process = demo()
    wait_for(lambda: list((place / "temporary").iterdir()))
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=50)
    assert (process.returncode, stdout) == (130, "")
    assert "cancelled" in stderr
    assert nothing_is_left(place)


@pytest.mark.parametrize("moment", ["looking", "run "])
def test_ctrl_c_at_any_moment_leaves_nothing(demo: Demo, place: Path, moment: str) -> None:
    process = demo("--set", "startup.trials=5000")
    until(process, moment)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=50)
    assert process.returncode == 130
    assert nothing_is_left(place)


def test_ctrl_c_during_the_run_keeps_the_partial_result(demo: Demo, place: Path) -> None:
    process = demo("--set", "startup.trials=5000", "--output", "json")
    until(process, "run ")
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=50)
    assert process.returncode == 130
    result = Result.model_validate_json(stdout)
    assert result.run.state == "cancelled"
    assert Result.model_validate_json((place / "out/result.json").read_text()) == result
    assert (place / "out/report.html").exists()


def test_a_second_ctrl_c_leaves_at_once_and_leaves_nothing(demo: Demo, place: Path) -> None:
    process = demo("--set", "startup.trials=5000", "--set", "workload.image=fake:hang")
    until(process, "run ")
    process.send_signal(signal.SIGINT)
    until(process, "cancelling")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=50)
    assert process.returncode == 130
    assert nothing_is_left(place)


def test_its_servers_end_even_if_it_is_killed(demo: Demo, place: Path) -> None:
    process = demo("--set", "startup.trials=5000")
    until(process, "run ")
    servers = children_of(place)
    assert len(servers) == 2
    process.kill()
    process.communicate(timeout=50)
    gone, alive = psutil.wait_procs(servers, timeout=30)
    assert (len(gone), alive) == (2, [])


def test_an_agent_that_is_killed_is_started_again_and_goes_on(demo: Demo, place: Path) -> None:
    held = ["--set", "workload.environment={FAKE_READY_MS: 1500, FAKE_DURABLE: 1}"]
    process = demo("--set", "startup.trials=8", "--set", "startup.concurrency=[4]", *held)
    until(process, "run ")
    instances = place / "temporary"
    wait_for(lambda: list(instances.glob("*/agent/runtimes/**/i*")))
    agent = next(p for p in children_of(place) if "agent.app" in p.cmdline())
    agent.kill()
    _, stderr = process.communicate(timeout=50)
    assert process.returncode == 0, stderr
    assert "the agent was killed by SIGKILL; starting it once more" in stderr
    result = Result.model_validate_json((place / "out/result.json").read_text())
    assert result.run.state == "finished"
    assert max(row.ready for row in result.startup) == 8
    assert "interrupted" in (place / "out/trials.csv").read_text()
    assert (result.hosts[0].removed, result.hosts[0].leaked) == ([], [])
    assert nothing_is_left(place)
