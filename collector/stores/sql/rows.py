"""What a store keeps of runs, as rows and back again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

from google.protobuf import json_format
from sqlalchemy import RowMapping

from collector.model import HostRun, Run
from tonnage import model, wire
from tonnage.v1 import model_pb2

# Every event but a trial and its end, by the name of its payload.
FACTS: dict[str, type[Any]] = {
    "run_started": model.RunStarted,
    "stage_started": model.StageStarted,
    "step": model.Step,
    "forecast": model.Forecast,
    "density_result": model.DensityResult,
    "footprint_point": model.FootprintPoint,
    "churn_point": model.ChurnPoint,
    "inside": model.Inside,
    "memory_floor": model.MemoryFloor,
    "stage_finished": model.StageFinished,
    "notice": model.Notice,
    "run_prepared": model.RunPrepared,
    "snapshot": model.Snapshot,
    "run_released": model.RunReleased,
    "run_resumed": model.RunResumed,
    "run_finished": model.RunFinished,
}


def fact_of(kind: str, body_json: str) -> Any:
    """The dataclass that a ``fact`` row holds."""
    return from_json(body_json, FACTS[kind])


def plan_to_json(plan: model.Plan) -> str:
    """A plan as it is stored."""
    return to_json(wire.to_message(plan))


def plan_of(text: str) -> model.Plan:
    """A plan as it was stored."""
    plan: model.Plan = from_json(text, model.Plan)
    return plan


def problem_to_json(problem: model.Problem | None) -> str | None:
    """A problem as it is stored."""
    return None if problem is None else json.dumps(asdict(problem))


def problem_of(text: str | None) -> model.Problem | None:
    """A problem as it was stored."""
    if text is None:
        return None
    values = json.loads(text)
    return model.Problem(**{**values, "kind": model.ProblemKind(values["kind"])})


def run_to_row(run: Run) -> dict[str, Any]:
    """A run as a row of ``run``."""
    return {
        "run_id": run.run_id,
        "name": run.name,
        "state": run.state.value,
        "spec_json": run.spec_json,
        "seed": str(run.seed),
        "versions_json": json.dumps(run.versions),
        "started_at_unix_ns": run.started_at_unix_ns,
        "finished_at_unix_ns": run.finished_at_unix_ns,
        "problem_json": problem_to_json(run.problem),
        "request_token": run.request_token or None,
        "raw_removed_at_unix_ns": run.raw_removed_at_unix_ns,
        "cancel_requested": run.cancel_requested,
        "start_skew_seconds": run.start_skew_seconds,
    }


def run_of(row: RowMapping) -> Run:
    """The run that a row of ``run`` holds."""
    return Run(
        run_id=row["run_id"],
        name=row["name"],
        state=model.RunState(row["state"]),
        spec_json=row["spec_json"],
        seed=int(row["seed"]),
        versions=json.loads(row["versions_json"]),
        started_at_unix_ns=row["started_at_unix_ns"],
        finished_at_unix_ns=row["finished_at_unix_ns"],
        problem=problem_of(row["problem_json"]),
        request_token=row["request_token"] or "",
        raw_removed_at_unix_ns=row["raw_removed_at_unix_ns"],
        cancel_requested=bool(row["cancel_requested"]),
        start_skew_seconds=row["start_skew_seconds"],
    )


def host_run_of(
    row: RowMapping,
    plan: model.Plan,
    started: model.RunStarted | None,
    finished: model.RunFinished | None,
) -> HostRun:
    """A host's run from its row, its plan, and its first and last event."""
    return HostRun(
        run_id=row["run_id"],
        host=row["host"],
        address=row["address"],
        plan=plan,
        state=model.RunState(row["state"]),
        high_water=row["high_water"],
        facts=started.facts if started else None,
        runtimes=started.runtimes if started else (),
        problem=problem_of(row["problem_json"]),
        removed=finished.removed if finished else (),
        leaked=finished.leaked if finished else (),
    )


# By look-up, which takes a third of the time of a call of the enumeration.
_TRIAL_WORDS: dict[str, Callable[[Any], Any]] = {
    "accelerator": {each.value: each for each in model.Accelerator}.__getitem__,
    "population": {each.value: each for each in model.Population}.__getitem__,
    "outcome": {each.value: each for each in model.Outcome}.__getitem__,
    "noisy": bool,
    "suspect": bool,
}
TRIAL_FIELDS = tuple(field.name for field in fields(model.Trial))
END_FIELDS = tuple(field.name for field in fields(model.TrialEnd))
_INTERRUPTED = END_FIELDS.index("interrupted")
_TRIAL_CONVERSIONS = [(TRIAL_FIELDS.index(name), to) for name, to in _TRIAL_WORDS.items()]


def trial_of(values: Sequence[Any]) -> model.Trial:
    """The trial whose values are in the order of ``TRIAL_FIELDS``."""
    items = list(values)
    for index, convert in _TRIAL_CONVERSIONS:
        items[index] = convert(items[index])
    return model.Trial(*items)


def end_of(values: Sequence[Any]) -> model.TrialEnd | None:
    """The end whose values are in the order of ``END_FIELDS``; ``None`` if there is none."""
    if values[0] is None:
        return None
    items = list(values)
    items[_INTERRUPTED] = bool(items[_INTERRUPTED])
    return model.TrialEnd(*items)


def to_json(message: Any) -> str:
    """A message as JSON text, every field named as in the contract."""
    return json_format.MessageToJson(
        message,
        indent=None,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )


def from_json(text: str, cls: type[Any]) -> Any:
    """The dataclass whose message ``text`` holds; fields it does not know are passed over.

    Raises ``ValueError`` where it cannot be read.
    """
    message = getattr(model_pb2, cls.__name__)()
    try:
        return wire.from_message(json_format.Parse(text, message, ignore_unknown_fields=True), cls)
    except (json_format.ParseError, wire.WireError) as error:
        raise ValueError(f"{cls.__name__}: {error}") from error
