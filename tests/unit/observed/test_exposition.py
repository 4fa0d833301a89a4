"""The golden exposition of what is observed beside Tonnage's own instances.

After a wanted change: TONNAGE_UPDATE_GOLDEN=1 pytest tests/unit/observed/test_exposition.py
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from agent.observed.picture import Found, Picture
from agent.observed.scales import Weight

_GOLDEN = Path(__file__).parents[2] / "fixtures" / "metrics" / "agent_observed.prom"


def _exposition() -> str:
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap
    registry = CollectorRegistry()
    picture = Picture(registry)
    containers = {"running": 3, "paused": 1, "exited": 2}
    picture.show("docker", Found(containers, Weight({"pss": 6e6, "cgroup": 4e6}, 0), 1.8e9))
    machines = Weight({"pss": 9e7, "vmm_overhead": 3e7}, 1)
    picture.show("qemu", Found({"running": 1}, machines, 1.8e9))
    picture.started("docker", 0.21)
    return generate_latest(registry).decode()


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
