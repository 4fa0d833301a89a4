"""Three hosts in network namespaces over mutual TLS: one dies in a run, and comes back."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from deploy.fleet.story import HOSTS, tell
from tests.proof import prove

_STARTS = 150
SPEC = f"""
name: fleet
hosts: {{where: "cpus >= 1", expect: 3, wait: 60s, barrier: 30s}}
workload:
  image: fake:ok
  readiness: {{log: TONNAGE READY}}
  environment: {{FAKE_DURABLE: "1", FAKE_READY_MS: "40"}}
targets: [{{runtime: fake}}]
startup: {{trials: {_STARTS}, warmup: 0}}
footprint: {{counts: [2, 4], settle: 20ms}}
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_host_that_dies_makes_the_run_partial_and_completes_it_when_it_is_back(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC)
    flags = ("--runtimes", "fake", "--guard-memory-headroom-bytes", "1")
    run_id = asyncio.run(tell(tmp_path, spec, (), flags, said.append))
    told = "".join(said)
    before, _, after = told.partition("h3 is back")
    assert "2 of 3 hosts" in before
    assert "2 of 3 hosts" not in after
    assert "partial" not in after
    assert "no instances" in after
    for host in HOSTS:
        spool = tmp_path / host / "spool" / run_id / "events.log"
        proof = prove(tmp_path / "store" / "tonnage.db", spool, (run_id, host), _STARTS)
        assert proof.holds, (host, proof)
    assert not list(tmp_path.glob("h*/runtimes/fake/*.json"))
    assert (
        f"tng{os.getpid():x}"
        not in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
    )
