"""Metrics: the golden exposition, and what a lint of it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from agent.live import HostFigures, Live, Outbox
from agent.metrics import Metrics, phases
from tonnage.model import (
    Accelerator,
    DensityResult,
    Forecast,
    LogReadiness,
    Mode,
    Network,
    Outcome,
    Population,
    RunState,
    Sample,
    StopReason,
    Target,
    Trial,
    Workload,
)

CHECKOUT = Path(__file__).resolve().parents[3]
GOLDEN = CHECKOUT / "tests/fixtures/metrics/agent.prom"
_WORKLOAD = Workload("idle", "tonnage/idle:1", LogReadiness("TONNAGE READY"))
_MS = 1_000_000


def target(runtime: str) -> Target:
    return Target(runtime, runtime, "default", Mode.WARM, Network.NONE, _WORKLOAD, 64 << 20)


def trial(accelerator: Accelerator, outcome: Outcome, **marks: Any) -> Trial:
    return Trial(
        "t1", "startup", "x", accelerator, Population.MEASURED, 1, 0, 0, 1, outcome, 1, **marks
    )


VM = trial(
    Accelerator.TCG,
    Outcome.READY,
    accepted_ns=2 * _MS,
    created_ns=50 * _MS,
    kernel_ns=400 * _MS,
    init_ns=2000 * _MS,
    ready_ns=2100 * _MS,
)
CONTAINER = trial(
    Accelerator.NONE, Outcome.READY, accepted_ns=9 * _MS, created_ns=180 * _MS, ready_ns=190 * _MS
)


@pytest.fixture
def metrics() -> Metrics:
    """An agent's metrics after a day's work."""
    made = Metrics("0.1.0", ("docker", "qemu-microvm"))
    made.watch(
        Live(
            instances=lambda: [("docker", "ready"), ("docker", "ready"), ("docker", "orphaned")],
            instances_limit=2000,
            pressure=lambda: {"cpu": 12.5, "memory": 0.0, "io": 1.0},
            healthy=lambda: {"docker": True, "qemu-microvm": False},
            host=lambda: HostFigures(8, 64 << 30, 48 << 30, 100 << 30),
            outbox=lambda: Outbox(4096, 512 << 20, 3, 7, full=False),
            run_active=lambda: True,
        )
    )
    made.trial(target("docker"), CONTAINER, 0.2)
    made.trial(target("qemu-microvm"), VM, 2.1)
    made.trial(target("docker"), trial(Accelerator.NONE, Outcome.TIMED_OUT), 60.0)
    sample = Sample(10, 10, 10, pss_bytes=30 << 20, cgroup_bytes=10 << 20)
    made.sample(target("docker"), Accelerator.NONE, sample)
    made.sample(target("docker"), Accelerator.NONE, Sample(0, 0, 0, pss_bytes=0))
    forecast = Forecast("density", 20, 104.5, 90, 120, StopReason.MEMORY_HEADROOM)
    made.forecast(target("docker"), Accelerator.NONE, forecast)
    ended = DensityResult("density", 100, StopReason.MEMORY_BUDGET, "memory")
    made.density(target("docker"), Accelerator.NONE, ended)
    made.probe("pss", 0.02, True)
    made.probe("cgroup", 0.002, False)
    made.run_ended(RunState.FINISHED.value)
    made.guard_tripped(StopReason.MEMORY_HEADROOM)
    made.leaked(1)
    made.registered(1.7e9)
    made.watch_certificates(lambda: {"authority": 2.1e9, "agent": 1.8e9})
    return made


def exposition(metrics: Metrics) -> str:
    """What a scrape gives, but for the figures of this very process."""
    text = generate_latest(metrics.registry).decode()
    return re.sub(r"^(tonnage_agent_process_\w+) .*$", r"\1 0.0", text, flags=re.MULTILINE)


def test_the_exposition_is_the_golden_one(metrics: Metrics) -> None:
    """``TONNAGE_UPDATE_GOLDEN=1`` writes it anew; the diff is then for review."""
    if os.environ.get("TONNAGE_UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(exposition(metrics))
    assert exposition(metrics) == GOLDEN.read_text()


def test_promtool_finds_nothing_to_complain_about(metrics: Metrics) -> None:
    promtool = shutil.which("promtool") or str(CHECKOUT / "build/tools/promtool")
    result = subprocess.run(
        [promtool, "check", "metrics"], input=exposition(metrics), capture_output=True, text=True
    )
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_no_label_is_unbounded(metrics: Metrics) -> None:
    labels = set(re.findall(r'[{,](\w+)="', exposition(metrics)))
    assert labels == {
        "accelerator", "certificate", "estimator", "le", "mode", "outcome", "phase", "probe",
        "reason", "resource", "runtime", "state", "version",
    }  # fmt: skip


def test_a_machine_has_phases_that_a_container_has_not() -> None:
    assert phases(CONTAINER) == {
        "accept": 0.009,
        "create": pytest.approx(0.171),
        "userspace": pytest.approx(0.010),
    }
    assert phases(VM) == {
        "accept": 0.002,
        "create": pytest.approx(0.048),
        "machine": pytest.approx(0.350),
        "kernel": pytest.approx(1.6),
        "userspace": pytest.approx(0.1),
    }
    server = replace(VM, unit_ns=2090 * _MS)
    assert phases(server) == phases(VM) | {
        "init": pytest.approx(0.090),
        "userspace": pytest.approx(0.010),
    }
    restored = replace(VM, kernel_ns=None, init_ns=None, restored_ns=400 * _MS, ready_ns=450 * _MS)
    assert phases(restored) == {
        "accept": 0.002,
        "create": pytest.approx(0.048),
        "restore": pytest.approx(0.350),
        "userspace": pytest.approx(0.050),
    }


def test_what_nobody_knows_has_no_series() -> None:
    """A zero would say that the collector was met in 1970, and that the disk is full."""
    unknown = Metrics("0.1.0", ())
    unknown.watch(
        Live(
            instances=list,
            instances_limit=1,
            pressure=dict,
            healthy=dict,
            host=lambda: HostFigures(1, None, None, None),
            outbox=lambda: Outbox(0, 1, 0, 0, full=False),
            run_active=lambda: False,
        )
    )
    unknown.registered(None)
    series = re.findall(r"^(\w+)[ {]", exposition(unknown), flags=re.MULTILINE)
    assert "tonnage_host_cpus" in series
    assert not {
        "tonnage_agent_collector_contact_timestamp_seconds",
        "tonnage_host_memory_total_bytes",
        "tonnage_host_memory_available_bytes",
        "tonnage_host_disk_free_bytes",
    } & set(series)


def test_a_lost_contact_keeps_its_time() -> None:
    metrics = Metrics("0.1.0", ())
    metrics.registered(1.7e9)
    metrics.registered(None)
    read = metrics.registry.get_sample_value
    assert read("tonnage_agent_registered") == 0
    assert read("tonnage_agent_collector_contact_timestamp_seconds") == 1.7e9
