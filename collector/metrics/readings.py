"""A result read as gauges: which figures of it are shown, and by which labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from collector.reports.model import DensityRow, Result, StartupRow, Subject
from tonnage.model import StopReason

SUBJECT = ("host", "runtime", "accelerator", "variant", "mode", "network", "workload", "memory")

Labels = tuple[str, ...]
Values = dict[tuple[str, Labels], float]
"""Of a subject: by metric and labels."""

_START = "tonnage_start_statistic_seconds"
_ATTEMPTS = "tonnage_start_attempts"
_PHASE = "tonnage_start_phase_seconds"
_LIMIT = "tonnage_density_limit_instances"
_FORECAST = "tonnage_density_forecast_instances"
_STOP = "tonnage_density_stop_info"
_FOOTPRINT = "tonnage_footprint_bytes"
_LAYER_SECONDS = "tonnage_layer_seconds"
_LAYER_BYTES = "tonnage_layer_bytes"
FAMILIES: tuple[tuple[str, str, Labels], ...] = (
    (
        _START,
        "Start, request to ready, in the latest run, from raw samples.",
        (*SUBJECT, "concurrency", "statistic"),
    ),
    (
        _ATTEMPTS,
        "Measured starts of the latest run by outcome.",
        (*SUBJECT, "concurrency", "outcome"),
    ),
    (
        _PHASE,
        "Median of a phase of starts in the latest run, from raw samples, lowest concurrency.",
        (*SUBJECT, "phase"),
    ),
    (_LIMIT, "Largest number of instances that met the SLO in the latest run.", SUBJECT),
    (_FORECAST, "That limit as foreseen from the first steps of the ramp.", SUBJECT),
    (
        _STOP,
        "Always 1; why the ramp of the latest run ended, and what bound it.",
        (*SUBJECT, "reason", "constraint"),
    ),
    (
        _FOOTPRINT,
        "Bytes of one more instance in the latest run; disk_base: bytes once.",
        (*SUBJECT, "estimator"),
    ),
    (
        _LAYER_SECONDS,
        "Median time of a start in one layer of the stack, in the latest run.",
        (*SUBJECT, "layer"),
    ),
    (
        _LAYER_BYTES,
        "Bytes of one more instance in one layer of the stack, in the latest run.",
        (*SUBJECT, "layer"),
    ),
)
_STATISTICS = ("p50", "p95", "p99", "min", "max", "mean")
_OUTCOMES = ("ready", "failed", "timed_out", "cancelled", "interrupted")
# The whole of a start is shown by its statistics, and CPU time is no part of it.
_NO_PHASES = ("total", "cpu")
_RESOURCE = re.compile(r"\bPSI (cpu|memory|io)\b")
# A result's own words carry figures and names of trials, which no label may.
_CONSTRAINTS = {
    StopReason.SLO_READY: "start p95 of probes",
    StopReason.SLO_PRESSURE: "pressure",
    StopReason.MEMORY_HEADROOM: "available memory",
    StopReason.MEMORY_BUDGET: "memory budget",
    StopReason.LAUNCH_FAILED: "launching",
    StopReason.INSTANCES_DIED: "instances alive and answering",
    StopReason.MAX_INSTANCES: "instances allowed",
    StopReason.CANCELLED: "operator",
    StopReason.DISK_HEADROOM: "free disk space",
    StopReason.TIME_LIMIT: "time",
    StopReason.MEMORY_LIMIT: "hard memory limit",
}


def _startup(result: Result) -> dict[Labels, Values]:
    found: dict[Labels, Values] = {}
    for row in result.startup:
        if row.phase == "total":
            found.setdefault(_subject(row), {}).update(_total(row))
    for row in sorted(result.startup, key=lambda row: row.concurrency):
        if row.phase not in _NO_PHASES and row.p50_seconds is not None:
            subject = _subject(row)
            values = found.setdefault(subject, {})
            values.setdefault((_PHASE, (*subject, row.phase)), row.p50_seconds)
    for layer in result.layers:
        if layer.seconds is not None:
            subject = _subject(layer)
            found.setdefault(subject, {})[_LAYER_SECONDS, (*subject, layer.layer)] = layer.seconds
    return found


def _total(row: StartupRow) -> Values:
    level = (*_subject(row), str(row.concurrency))
    values: Values = {
        (_ATTEMPTS, (*level, outcome)): getattr(row, outcome) for outcome in _OUTCOMES
    }
    for statistic in _STATISTICS:
        value = getattr(row, f"{statistic}_seconds")
        if value is not None:
            values[_START, (*level, statistic)] = value
    return values


def _density(result: Result) -> dict[Labels, Values]:
    found: dict[Labels, Values] = {}
    for row in result.density:
        subject = _subject(row)
        values = found[subject] = {}  # of two ramps the later
        if row.instances is not None:
            values[_LIMIT, subject] = row.instances
        if row.forecast_instances is not None:
            values[_FORECAST, subject] = row.forecast_instances
        if row.stop_reason is not None:
            values[_STOP, (*subject, row.stop_reason, _constraint(row))] = 1
    return found


def _constraint(row: DensityRow) -> str:
    """What bound, of a fixed set of words."""
    pressed = _RESOURCE.search(row.binding_constraint or "")
    if row.stop_reason == StopReason.SLO_PRESSURE and pressed:
        return f"{pressed[1]} pressure"
    named = {reason.value: words for reason, words in _CONSTRAINTS.items()}
    return named.get(row.stop_reason or "", "unknown")


def _footprint(result: Result) -> dict[Labels, Values]:
    found: dict[Labels, Values] = {}
    for row in result.footprint:
        subject = _subject(row)
        values = found.setdefault(subject, {})
        if row.bytes_per_instance is not None:
            values[_FOOTPRINT, (*subject, row.estimator)] = row.bytes_per_instance
    for layer in result.layers:
        if layer.bytes_per_instance is not None:
            subject = _subject(layer)
            key = _LAYER_BYTES, (*subject, layer.layer)
            found.setdefault(subject, {})[key] = layer.bytes_per_instance
    return found


EXPERIMENTS: Mapping[str, Callable[[Result], dict[Labels, Values]]] = {
    "startup": _startup,
    "density": _density,
    "footprint": _footprint,
}


def _subject(row: Subject) -> Labels:
    return (
        row.host,
        row.runtime,
        row.accelerator,
        row.variant,
        row.mode,
        row.network,
        row.workload,
        str(row.memory_bytes),
    )
