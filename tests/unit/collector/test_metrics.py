"""The golden exposition of every metric of the collector.

After a wanted change: TONNAGE_UPDATE_GOLDEN=1 pytest tests/unit/collector/test_metrics.py
"""

from __future__ import annotations

import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from collector.fleet import Lease
from collector.metrics import MOST_HOSTS, Kept, LatestResults, Metrics
from collector.model import RunData, TrialRow
from collector.reports.model import DensityRow, FootprintRow, LayerRow, Result
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
    layer = LayerRow(
        **subject,
        layer="engine",
        bytes_per_instance=2.7e6,
        bytes_reason=None,
        seconds=0.215,
        seconds_reason=None,
    )
    rows = {"density": [density], "footprint": [footprint], "layers": [layer]}
    return result.model_copy(update=rows)


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
    leases = (Lease("h1", "healthy", _FINISHED_NS, 9.5), Lease("h2", "lost", EPOCH_NS, -300.0))
    metrics.watch(lambda: leases, lambda: {"pending": 0, "running": 1})
    metrics.watch_certificates(
        lambda: {"collector": 1.8e9, "authority": 2.1e9}, lambda: {"h1": 1.81e9}
    )
    metrics.watch_store(lambda: Kept(store_bytes=4_194_304, results_missing=1))
    metrics.store_failed()
    metrics.commanded("SubmitRun", "ok")
    metrics.commanded("DrainHost", "NOT_FOUND")
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
    latest = LatestResults(most_subjects=500)
    for number in range(200):
        latest.publish(_result(f"h{number}"))
    age = next(f for f in latest.collect() if f.name == "tonnage_result_age_seconds")
    hosts = {sample.labels["host"] for sample in age.samples}
    assert len(age.samples) == 500
    assert "h199" in hosts
    assert "h0" not in hosts


def _samples(source: Collector | CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by the values of its labels."""
    family = next(family for family in source.collect() if family.name == name)
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_a_phase_is_shown_at_the_lowest_concurrency_and_neither_total_nor_cpu() -> None:
    latest = LatestResults()
    result = _result()
    rows = [
        row.model_copy(update={"phase": phase, "concurrency": level, "p50_seconds": seconds})
        for row in result.startup[:1]
        for phase, level, seconds in (
            ("create", 4, 0.4),
            ("create", 1, 0.1),
            ("userspace", 4, 0.04),
            ("machine", 1, None),
            ("total", 1, 1.0),
            ("cpu", 1, 2.0),
        )
    ]
    latest.publish(result.model_copy(update={"startup": rows}))
    found = _samples(latest, "tonnage_start_phase_seconds")
    assert {labels[-1]: value for labels, value in found.items()} == {
        "create": 0.1,
        "userspace": 0.04,
    }


@pytest.mark.parametrize(
    ("reason", "told", "shown"),
    [
        ("memory_budget", "memory used 3.9 MiB > budget 3.0 MiB", "memory budget"),
        ("slo_pressure", "PSI io some avg10 12.5 % > 10 %", "io pressure"),
        ("slo_pressure", "something else", "pressure"),
        ("launch_failed", "probe 4f2a did not become ready: no space", "launching"),
        ("of_a_later_version", "7 of 9", "unknown"),
    ],
)
def test_what_bound_a_ramp_is_one_of_few_words(reason: str, told: str, shown: str) -> None:
    latest = LatestResults()
    result = _result()
    row = result.density[0].model_copy(update={"stop_reason": reason, "binding_constraint": told})
    latest.publish(result.model_copy(update={"density": [row]}))
    (labels,) = _samples(latest, "tonnage_density_stop_info")
    assert labels[-2:] == (reason, shown)


def test_the_next_ramp_of_a_subject_takes_the_place_of_the_last_ones_reason() -> None:
    latest = LatestResults()
    result = _result()
    first, second = (
        result.density[0].model_copy(update={"stop_reason": reason})
        for reason in ("memory_budget", "slo_ready")
    )
    latest.publish(result.model_copy(update={"density": [first, second]}))
    assert [labels[-2] for labels in _samples(latest, "tonnage_density_stop_info")] == ["slo_ready"]


def test_a_host_is_in_one_state_and_none_is_left_out_of_the_count() -> None:
    metrics = Metrics("0", "0")
    leases = [Lease(f"h{n:05}", "lost" if n % 2 else "healthy", 0, 1.0) for n in range(6000)]
    metrics.watch(lambda: leases, dict)
    counted = _samples(metrics.registry, "tonnage_collector_hosts")
    assert counted == {("healthy",): 3000, ("draining",): 0, ("suspect",): 0, ("lost",): 3000}
    states = _samples(metrics.registry, "tonnage_collector_host_state")
    assert len(states) == 4 * MOST_HOSTS
    of_one = {state: value for (host, state), value in states.items() if host == "h00001"}
    assert of_one == {"healthy": 0, "draining": 0, "suspect": 0, "lost": 1}


def test_counters_of_further_hosts_are_one_series() -> None:
    metrics = Metrics("0", "0")
    for number in range(MOST_HOSTS + 3):
        metrics.stored(f"h{number}", 2, 0.001)
    metrics.stored("h0", 2, 0.001)
    found = _samples(metrics.registry, "tonnage_collector_events")
    assert len(found) == MOST_HOSTS + 1
    assert (found["h0",], found["(further)",]) == (4, 6)


def test_what_is_not_known_of_the_store_has_no_series() -> None:
    metrics = Metrics("0", "0")
    metrics.watch_store(lambda: Kept(results_missing=0))
    page = generate_latest(metrics.registry).decode()
    assert "tonnage_collector_results_missing 0.0" in page
    assert "tonnage_collector_store_bytes" not in page


def test_a_thousand_hosts_are_shown_in_time() -> None:
    """25,000 series took 0.2 s; Prometheus waits ten."""
    result, latest = _result(), LatestResults()
    for number in range(1000):
        rows = {
            name: [row.model_copy(update={"host": f"h{number}"}) for row in getattr(result, name)]
            for name in ("startup", "density", "footprint")
        }
        latest.publish(result.model_copy(update=rows))
    metrics = Metrics("0", "0", latest)
    leases = [Lease(f"h{n}", "healthy", 0, 1.0) for n in range(1000)]
    metrics.watch(lambda: leases, dict)
    begun = time.perf_counter()
    page = generate_latest(metrics.registry)
    seconds = time.perf_counter() - begun
    assert page.count(b"\n") > 20_000
    assert seconds < 5
