"""Runs, plans and events for tests of the collector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from collector.model import HostRun, Run
from tonnage import wire
from tonnage.model import (
    Accelerator,
    Event,
    Fingerprint,
    HostFacts,
    LogReadiness,
    Mode,
    Network,
    Notice,
    Outcome,
    Payload,
    Plan,
    Population,
    Problem,
    ProblemKind,
    RunFinished,
    RunStarted,
    RunState,
    RuntimeState,
    Stage,
    StageFinished,
    StageStarted,
    StartupStage,
    Target,
    TargetTrials,
    Trial,
    TrialEnd,
    Workload,
)
from tonnage.v1 import model_pb2

STAGE = "startup"
EPOCH_NS = 1_795_000_000_000_000_000


def facts(host: str = "h1", agent_id: str = "a1") -> HostFacts:
    """A host's facts."""
    return HostFacts(
        host=host,
        agent_id=agent_id,
        agent_version="0.1.0",
        boot_id="b",
        kernel="6.1.0",
        os="Debian 12",
        architecture="x86_64",
        cpu_model="A CPU",
        cpus=2,
        memory_bytes=16 * 2**30,
        swap_bytes=0,
        cgroup="v2",
        virtualization="",
        ksm="off",
        transparent_huge_pages="madvise",
        governor="unknown",
        psi=True,
        labels={"rack": "r7"},
    )


def fingerprint(runtime: str = "fake") -> Fingerprint:
    """A healthy runtime."""
    return Fingerprint(
        runtime=runtime,
        state=RuntimeState.HEALTHY,
        reason="It answers.",
        version="1",
        variants=("default",),
        networks=(Network.NONE,),
        modes=(Mode.WARM,),
        readiness=("log",),
    )


def target(name: str = "fake") -> Target:
    """A target of the runtime ``name``."""
    workload = Workload("idle", "tonnage/idle:1", LogReadiness("TONNAGE READY"))
    return Target(name, name, "default", Mode.WARM, Network.NONE, workload, 128 * 2**20)


def plan(run_id: str = "r1", trials: int = 10, time_limit_seconds: float = 600.0) -> Plan:
    """A plan of one startup stage."""
    stage = StartupStage((TargetTrials("fake", trials),), 0, (1,), 60.0)
    return Plan(run_id, 7, (target(),), (Stage(STAGE, stage),), 0.1, time_limit_seconds)


def run(run_id: str = "r1", **changes: Any) -> Run:
    """A run that is pending."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "name": "a test",
        "state": RunState.PENDING,
        "spec_json": "{}",
        "seed": 2**64 - 1,
        "versions": {"collector": "0.1.0"},
        "started_at_unix_ns": EPOCH_NS,
    }
    return Run(**{**values, **changes})


def host_run(run_id: str = "r1", host: str = "h1", address: str = "127.0.0.1:1") -> HostRun:
    """A run on one host, not begun."""
    return HostRun(run_id, host, address, plan(run_id))


def trial(number: int, outcome: Outcome = Outcome.READY, **changes: Any) -> Trial:
    """A trial that took 30 ms, with a zero and an absent value among its own."""
    values: dict[str, Any] = {
        "trial_id": f"{STAGE}/fake/{number:06d}",
        "stage_id": STAGE,
        "target_id": "fake",
        "accelerator": Accelerator.NONE,
        "population": Population.MEASURED,
        "concurrency": 1,
        "block": number // 10,
        "number": number,
        "attempt": 1,
        "outcome": outcome,
        "requested_at_unix_ns": EPOCH_NS + number,
        "accepted_ns": 0,
        "created_ns": 20_000_000,
        "ready_ns": 30_000_000 if outcome is Outcome.READY else None,
        "error": "" if outcome is Outcome.READY else "no ready line",
        "foreign_cpu_share": 0.25,
        "steal_share": 0.0,
        "noisy": True,
        "image_digest": "sha256:" + "a" * 64,
    }
    return Trial(**{**values, **changes})


def end(number: int, **changes: Any) -> TrialEnd:
    """The end of a trial's instance."""
    values: dict[str, Any] = {
        "trial_id": f"{STAGE}/fake/{number:06d}",
        "attempt": 1,
        "stopped_ns": 40_000_000,
        "destroyed_ns": 50_000_000,
    }
    return TrialEnd(**{**values, **changes})


def numbered(payloads: Iterable[Payload], first: int = 1) -> list[model_pb2.Event]:
    """Events off the wire, with contiguous sequences from ``first``."""
    return [
        wire.to_message(Event(sequence, EPOCH_NS + sequence, payload))
        for sequence, payload in enumerate(payloads, first)
    ]


def whole_run(trials: int, host: str = "h1") -> list[model_pb2.Event]:
    """Every event of a run that goes well."""
    pairs: Sequence[Payload] = [
        payload for number in range(trials) for payload in (trial(number), end(number))
    ]
    return numbered(
        [
            RunStarted(facts(host), (fingerprint(),)),
            StageStarted(STAGE, trials),
            Notice("KSM is off."),
            *pairs,
            StageFinished(STAGE, Problem(ProblemKind.INVALID_INPUT, "one target was left out")),
            RunFinished(RunState.FINISHED, removed=("i-1",)),
        ]
    )


def trials_in(events: Sequence[model_pb2.Event]) -> int:
    """How many of ``events`` are trials."""
    return sum(event.WhichOneof("payload") == "trial" for event in events)
