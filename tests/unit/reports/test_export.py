"""Raw rows, and that every aggregate can be computed from them again."""

from __future__ import annotations

import csv
import io
import json
import statistics

import pytest

from collector.reports import export
from collector.results import assemble
from tests.unit.reports.sample import sample_run

ISSUE = [
    *("run", "host", "runtime", "accelerator", "variant", "mode", "network", "workload"),
    *("memory_bytes", "concurrency", "block", "trial", "attempt", "outcome", "error"),
    *("requested_at", "accepted_ns", "created_ns", "kernel_ns", "init_ns", "ready_ns"),
    *("stopped_ns", "destroyed_ns", "cpu_ns", "noisy"),
]
MODES = ["cold_bytes", "cold_cached_bytes", "restored_ns", "guest_root"]
UNIT = ["unit_ns"]


def exported() -> list[dict[str, object]]:
    return [export.rows(row) for row in sample_run().trials]


def read_csv() -> list[dict[str, str]]:
    out = io.StringIO()
    export.write_csv(iter(exported()), out)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def test_the_columns_are_those_promised() -> None:
    assert list(export.COLUMNS) == [*ISSUE, "population", "stage", *MODES, *UNIT]
    assert list(read_csv()[0]) == list(export.COLUMNS)


def test_csv_and_json_hold_the_same() -> None:
    out = io.StringIO()
    export.write_json(iter(exported()), out)
    from_json = json.loads(out.getvalue())
    for text, value in zip(read_csv(), from_json, strict=True):
        assert {k: _as_csv(v) for k, v in value.items()} == text


def _as_csv(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_aggregates_can_be_computed_from_the_csv() -> None:
    result = assemble(sample_run())
    rows = [row for row in read_csv() if row["population"] == "measured"]
    for total in (row for row in result.startup if row.phase == "total"):
        mine = [
            row
            for row in rows
            if row["runtime"] == total.runtime and int(row["concurrency"]) == total.concurrency
        ]
        seconds = [int(row["ready_ns"]) / 1e9 for row in mine if row["outcome"] == "ready"]
        assert len(mine) == total.requested
        assert statistics.median(seconds) == pytest.approx(total.p50_seconds)
        assert statistics.fmean(seconds) == pytest.approx(total.mean_seconds)


def test_times_are_utc_and_absent_marks_are_empty() -> None:
    row = next(row for row in read_csv() if row["outcome"] == "timed_out")
    assert row["requested_at"].endswith("Z")
    assert row["requested_at"].startswith("2025-11-24T")
    assert row["ready_ns"] == ""


def test_a_file_can_be_written_batch_by_batch() -> None:
    rows = exported()
    whole, parts = io.StringIO(), io.StringIO()
    export.write_csv(rows, whole)
    export.write_csv(rows[:50], parts)
    export.write_csv(rows[50:], parts, header=False)
    assert parts.getvalue() == whole.getvalue()


def test_no_rows_are_still_a_document() -> None:
    out = io.StringIO()
    export.write_json([], out)
    assert json.loads(out.getvalue()) == []
