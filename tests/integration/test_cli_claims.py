"""``tonnage claims --here`` as a user meets it: runs, judges, writes, and leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from collector.claims import Claims
from tests.integration.servers import ROOT
from tests.integration.test_cli_demo import nothing_is_left

FITS = """\
name: fits
workload:
  image: fake:ok
  readiness: {log: TONNAGE READY}
targets: [{runtime: fake}, {runtime: docker}]
startup: {trials: 6}
"""
FITS_NOT = FITS.replace("name: fits", "name: fits-not").replace("{runtime: fake}, ", "")


def test_it_runs_what_fits_judges_it_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    for name, text in (("fits", FITS), ("fits-not", FITS_NOT)):
        (tmp_path / f"{name}.yaml").write_text(text)
    files = [str(tmp_path / f"{name}.yaml") for name in ("fits", "fits-not")]
    out = tmp_path / "out"
    flags = ["--here", "--out", str(out), "--runtimes", "fake", "--output", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "collector.cli", "claims", *files, *flags],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 4, done.stderr  # the lesson says nothing of a fake
    judged = Claims.model_validate(json.loads(done.stdout))
    assert [run.name for run in judged.runs] == ["fits"]
    assert "fits-not is left out: no runtime of the experiment" in done.stderr
    assert json.loads((out / "result.json").read_text()) == json.loads(done.stdout)
    assert "C7 inconclusive" in (out / "report.html").read_text()
    written = {path.name for path in out.iterdir()}
    assert written == {"result.json", "report.html", "fits.json", "collector.log", "agent.log"}
    assert nothing_is_left(tmp_path)
