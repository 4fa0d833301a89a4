"""A collector that is killed in the middle of a run: the run goes on, and so does ``run``."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from collector.reports.model import Result
from tests.integration.servers import ROOT, address_of, agent
from tests.integration.test_cli_runs import await_host

TEXT = """\
name: outlives
workload:
  image: fake:ok
  readiness: {log: TONNAGE READY}
  environment: {FAKE_READY_MS: 20}
targets: [{runtime: fake}]
startup: {trials: 150}
"""


def serve(port: int, folder: Path, log: Path) -> subprocess.Popen[str]:
    arguments = ["--listen", f"127.0.0.1:{port}", "--http", "127.0.0.1:0"]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "collector.app", *arguments, "--store", str(folder / "store")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    address_of(process, log)
    return process


def end(process: subprocess.Popen[str], number: signal.Signals) -> int:
    process.send_signal(number)
    code = process.wait(20)
    assert process.stdout is not None
    process.stdout.close()
    return code


def test_a_run_outlives_a_kill_of_the_collector(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    (tmp_path / "outlives.yaml").write_text(TEXT)
    first = serve(port, tmp_path, tmp_path / "first.log")
    with agent(tmp_path, address):
        await_host(address)
        spec = str(tmp_path / "outlives.yaml")
        arguments = ["run", spec, "--output", "json", "--collector", address]
        run = subprocess.Popen(
            [sys.executable, "-m", "collector.cli", *arguments],
            cwd=ROOT,
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert run.stderr is not None
        next(line for line in run.stderr if "h1 [1/1] startup" in line)
        end(first, signal.SIGKILL)
        second = serve(port, tmp_path, tmp_path / "second.log")
        stdout, stderr = run.communicate(timeout=50)
        assert run.returncode == 0, stderr
        assert end(second, signal.SIGTERM) == 0
    result = Result.model_validate_json(stdout)
    (total,) = [row for row in result.startup if row.phase == "total"]
    assert (result.run.state, total.requested, total.ready) == ("finished", 150, 150)
