"""Every trial as a flat row: what every aggregate can be recomputed from."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

from collector.model import TrialRow

SUBJECT = (
    "host",
    "runtime",
    "accelerator",
    "variant",
    "mode",
    "network",
    "workload",
    "memory_bytes",
)
MARKS = (
    "accepted_ns",
    "created_ns",
    "kernel_ns",
    "init_ns",
    "ready_ns",
    "stopped_ns",
    "destroyed_ns",
)
COLUMNS = (
    "run",
    *SUBJECT,
    "concurrency",
    "block",
    "trial",
    "attempt",
    "outcome",
    "error",
    "requested_at",
    *MARKS,
    "cpu_ns",
    "noisy",
    "population",
    "stage",
    "cold_bytes",
    "cold_cached_bytes",
    "restored_ns",
    "guest_root",
    "unit_ns",
)
"""The columns of an export. Marks are nanoseconds after the request; absent is empty or null.
Only rows of population ``measured`` are summarised as start-up."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows(row: TrialRow) -> dict[str, Any]:
    """The columns of one trial, and its ``evidence`` besides, which only the report shows."""
    target, trial, end = row.target, row.trial, row.end
    return {
        "run": row.run_id,
        "host": row.host,
        "runtime": target.runtime,
        "accelerator": trial.accelerator.value,
        "variant": target.variant,
        "mode": target.mode.value,
        "network": target.network.value,
        "workload": target.workload.name,
        "memory_bytes": target.memory_bytes,
        "concurrency": trial.concurrency,
        "block": trial.block,
        "trial": trial.trial_id,
        "attempt": trial.attempt,
        "outcome": trial.outcome.value,
        "error": trial.error,
        "requested_at": _utc(trial.requested_at_unix_ns),
        "accepted_ns": trial.accepted_ns,
        "created_ns": trial.created_ns,
        "kernel_ns": trial.kernel_ns,
        "init_ns": trial.init_ns,
        "ready_ns": trial.ready_ns,
        "stopped_ns": end.stopped_ns if end else None,
        "destroyed_ns": end.destroyed_ns if end else None,
        "cpu_ns": trial.cpu_ns,
        "noisy": trial.noisy,
        "population": trial.population.value,
        "stage": trial.stage_id,
        "cold_bytes": trial.cold_bytes,
        "cold_cached_bytes": trial.cold_cached_bytes,
        "restored_ns": trial.restored_ns,
        "guest_root": trial.guest_root,
        "unit_ns": trial.unit_ns,
        "evidence": trial.evidence,
    }


def write_csv(trials: Iterable[Mapping[str, Any]], out: TextIO, *, header: bool = True) -> None:
    """Write rows as CSV while they come; without ``header`` to go on with a begun file."""
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows([_cell(trial[column]) for column in COLUMNS] for trial in trials)


def write_json(trials: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """Write rows as a JSON array, one a line, while they come."""
    out.write("[")
    separator = "\n"
    for trial in trials:
        out.write(separator + json.dumps({column: trial[column] for column in COLUMNS}))
        separator = ",\n"
    out.write("\n]\n")


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _utc(unix_ns: int) -> str:
    moment = _EPOCH + timedelta(microseconds=unix_ns // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
