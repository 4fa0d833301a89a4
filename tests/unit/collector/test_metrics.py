"""The golden exposition of every metric of the collector.

After a wanted change: TONNAGE_UPDATE_GOLDEN=1 pytest tests/unit/collector/test_metrics.py
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import generate_latest

from collector.metrics import LatestResults, Metrics
from collector.model import RunData, TrialRow
from collector.reports.model import DensityRow, FootprintRow, Result
from collector.results import assemble
from tests.runs_made_up import EPOCH_NS, host_run, run, target, trial
from tonnage.model import Outcome, RunState

_GOLDEN = Path(__file__).parents[2] / "fixtures" / "metrics" / "collector.prom"
_FINISHED_NS = EPOCH_NS + 60 * 10**9
_VOLATILE = ("tonnage_collector_process_",)


def _result(host: str = "h1", finished_at_unix_ns: int = _FINISHED_NS) -> Result:
    trials = [trial(n, Outcome.READY if n else Outcome.FAILED) for n in range(10)]
    ended = run(
        state=RunState.FINISHED,
        finished_at_unix_ns=finished_at_unix_ns,
        spec_json='{"name": "a"}',
    )
    data = RunData(
        run=ended,
        hosts=(host_run(host=host),),
        trials=tuple(TrialRow("r1", host, target(), one) for one in trials),
        facts=(),
    )
    result = assemble(data)
    subject = result.startup[0].model_dump(include=_SUBJECT)
    density = DensityRow(
        **subject,
        instances=120,
        stop_reason="memory_budget",
        binding_constraint="3.9 of 4.0 GiB",
        forecast_instances=118.5,
        forecast_ci=(110.0, 127.0),
        forecast_at_instances=40,
        forecast_error=-0.0125,
        steps=[],
    )
    footprint = FootprintRow(
        **subject, estimator="pss", bytes_per_instance=4.5e6, ci_bytes=(4e6, 5e6), n_points=6
    )
    return result.model_copy(update={"density": [density], "footprint": [footprint]})


_SUBJECT = {
    "host",
    "runtime",
    "accelerator",
    "variant",
    "mode",
    "network",
    "workload",
    "memory_bytes",
}


def _exposition() -> str:
    latest = LatestResults(lambda: _FINISHED_NS / 1e9 + 30)
    metrics = Metrics("0.1.0", "r0001", latest)
    metrics.watch(lambda: {"healthy": 2, "lost": 1}, lambda: {"pending": 0, "running": 1})
    metrics.watch_certificates(lambda: {"collector": 1.8e9, "authority": 2.1e9})
    metrics.stored("h1", 500, 0.004)
    metrics.troubled("h2")
    metrics.ended(RunState.PARTIAL)
    latest.publish(_result())
    lines = generate_latest(metrics.registry).decode().splitlines(keepends=True)
    return "".join(line for line in lines if not any(name in line for name in _VOLATILE))


def test_the_exposition_is_the_golden_one() -> None:
    page = _exposition()
    if os.environ.get("TONNAGE_UPDATE_GOLDEN") == "1":
        _GOLDEN.write_text(page)
    assert page == _GOLDEN.read_text()


def test_the_golden_exposition_is_clean(promtool: str) -> None:
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=_GOLDEN.read_text(), capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_no_label_is_unbounded() -> None:
    page = _exposition()
    assert "run_id" not in page
    assert 'run="' not in page
    assert "trial" not in page


def test_the_latest_run_of_a_subject_counts_whatever_the_order() -> None:
    latest = LatestResults()
    newer = _result(finished_at_unix_ns=_FINISHED_NS)
    older = _result(finished_at_unix_ns=EPOCH_NS)
    for result in (newer, older):
        latest.publish(result)
    age = next(f for f in latest.collect() if f.name == "tonnage_result_age_seconds")
    expected = datetime.now(UTC).timestamp() - _FINISHED_NS / 1e9
    assert all(abs(sample.value - expected) < 60 for sample in age.samples)


def test_subjects_are_capped_and_the_oldest_go() -> None:
    latest = LatestResults()
    for number in range(200):
        latest.publish(_result(f"h{number}"))
    age = next(f for f in latest.collect() if f.name == "tonnage_result_age_seconds")
    hosts = {sample.labels["host"] for sample in age.samples}
    assert len(age.samples) == 500
    assert "h199" in hosts
    assert "h0" not in hosts
