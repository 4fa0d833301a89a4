"""What is told of the snapshots that clones were restored from."""

from __future__ import annotations

from dataclasses import replace

from collector.model import HostFact, RunData
from collector.reports.html import render
from collector.reports.table import text
from collector.results.document import assemble
from tests.runs_made_up import host_run, run
from tonnage.model import Mode, Snapshot


def test_each_snapshot_is_told_with_its_time_and_its_bytes() -> None:
    host = host_run()
    target = replace(host.plan.targets[0], mode=Mode.RESTORE)
    host = replace(host, plan=replace(host.plan, targets=(target,)))
    fact = Snapshot(target.id, "private", 12.5, 140_000_000)
    result = assemble(RunData(run(), (host,), (), (HostFact(host.host, 1, 1, fact),)))
    (row,) = result.snapshots
    assert (row.host, row.mode, row.seconds, row.state_bytes) == (
        host.host,
        "restore",
        12.5,
        140_000_000,
    )
    for told in (text(result), render(result, ())):
        assert "Snapshots that clones were restored from" in told
        assert "140 MB" in told
