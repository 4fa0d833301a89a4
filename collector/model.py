"""What the collector keeps of a run, as plain rows."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.model import (
    ChurnPoint,
    DensityResult,
    Fingerprint,
    FootprintPoint,
    Forecast,
    HostFacts,
    Inside,
    MemoryFloor,
    Notice,
    Plan,
    Problem,
    ProblemKind,
    RunFinished,
    RunPrepared,
    RunReleased,
    RunResumed,
    RunState,
    Snapshot,
    StageFinished,
    Step,
    Target,
    Trial,
    TrialEnd,
)


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of an experiment on a set of hosts.

    ``spec_json`` is the experiment file as validated, overrides applied;
    ``versions`` names collector and schema. Times are nanoseconds since the
    Unix epoch, UTC. ``cancel_requested`` outlives a restart: a host that could
    not be told then is told when it answers again. ``start_skew_seconds`` bounds how
    far apart the hosts began to launch. ``raw_removed_at_unix_ns`` is when retention
    took the run's trials; its result was kept before.
    """

    run_id: str
    name: str
    state: RunState
    spec_json: str
    seed: int
    versions: dict[str, str]
    started_at_unix_ns: int
    finished_at_unix_ns: int | None = None
    problem: Problem | None = None
    request_token: str = ""
    cancel_requested: bool = False
    start_skew_seconds: float | None = None
    raw_removed_at_unix_ns: int | None = None


@dataclass(frozen=True, slots=True)
class KeptResult:
    """What was computed from the raw rows of a run once it had ended.

    It holds for the ending at ``finished_at_unix_ns`` alone, and while no host tells
    more: ``events`` is how many had been stored of all hosts. ``version`` is the
    Tonnage that computed it, ``result_json`` a ``reports.model.Result``.
    """

    run_id: str
    finished_at_unix_ns: int
    events: int
    version: str
    computed_at_unix_ns: int
    result_json: str


@dataclass(frozen=True, slots=True)
class HostRun:
    """A run on one host: its plan, and where it stands.

    ``high_water`` is the highest event sequence stored; ``facts`` and
    ``runtimes`` are as the agent reported them at the run's start.
    """

    run_id: str
    host: str
    address: str
    plan: Plan
    state: RunState = RunState.PENDING
    high_water: int = 0
    facts: HostFacts | None = None
    runtimes: tuple[Fingerprint, ...] = ()
    problem: Problem | None = None
    removed: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()

    @property
    def lost(self) -> bool:
        """Whether the host was given up because it was silent: it may be at work still."""
        return is_lost(self.state, self.problem)


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A trial with its host, its target and its end, as stored."""

    run_id: str
    host: str
    target: Target
    trial: Trial
    end: TrialEnd | None = None


@dataclass(frozen=True, slots=True)
class HostFact:
    """A row of one host's run other than a trial, in the order it was stored."""

    host: str
    sequence: int
    recorded_at_unix_ns: int
    fact: (
        Step
        | Forecast
        | DensityResult
        | FootprintPoint
        | ChurnPoint
        | Inside
        | MemoryFloor
        | Notice
        | StageFinished
        | RunPrepared
        | Snapshot
        | RunReleased
        | RunResumed
    )


@dataclass(frozen=True, slots=True)
class RunData:
    """Everything stored of one run: what every aggregate is computed from."""

    run: Run
    hosts: tuple[HostRun, ...]
    trials: tuple[TrialRow, ...]
    facts: tuple[HostFact, ...]


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A host that has registered, as it last did."""

    facts: HostFacts
    runtimes: tuple[Fingerprint, ...]
    address: str
    metrics_address: str
    metrics_tls: bool
    protocol: int
    first_seen_unix_ns: int
    last_seen_unix_ns: int
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """What lets hosts join; of its secret only the SHA-256 is kept, in hexadecimal.

    ``host`` is the only name that may join with it, empty for any.
    """

    token_id: str
    secret_sha256: str
    expires_at_unix_ns: int
    uses_left: int
    host: str
    created_by: str
    created_at_unix_ns: int
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was issued. ``serial`` is hexadecimal, lower case, unpadded."""

    serial: str
    role: str
    name: str
    not_before_unix_ns: int
    not_after_unix_ns: int
    revoked_at_unix_ns: int | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One command: when, who, from where, what about which subject, and how it ended.

    Mirrors the message of this name in ``v1/collector.proto``.
    """

    at_unix_ns: int
    role: str
    name: str
    peer: str
    command: str
    subject: str
    outcome: str
    reason: str = ""


AUDIT_OK = "ok"
"""The outcome of what ended well."""
AUDIT_PARTIAL = "PARTIAL"
"""The outcome of what did not reach every host, or left something there; its reason says which."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are asked for; what is empty leaves none out."""

    name: str = ""
    command: str = ""
    subject: str = ""
    failed: bool = False


def is_lost(state: RunState, problem: Problem | None) -> bool:
    """Whether a host that ended so was given up because it was silent."""
    silent = problem is not None and problem.kind is ProblemKind.UNAVAILABLE
    return state in (RunState.PARTIAL, RunState.FAILED) and silent


def ended_as(finished: RunFinished) -> RunState:
    """How a host's last event says it ended; an end that is none is a failure."""
    return finished.state if finished.state.ended else RunState.FAILED
