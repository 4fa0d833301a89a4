"""The words of Tonnage as immutable dataclasses.

Each class mirrors the message of the same name in ``v1/model.proto`` field by
field; that file holds the meaning and unit of every field. A test keeps the
two in step. ``None`` means *not measured*, which is not the same as zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Accelerator(StrEnum):
    """What executes an instance's instructions; part of every subject."""

    NONE = "none"
    KVM = "kvm"
    TCG = "tcg"


class RuntimeState(StrEnum):
    """What a runtime's fingerprint found."""

    UNDETECTED = "undetected"
    UNHEALTHY = "unhealthy"
    HEALTHY = "healthy"


class Mode(StrEnum):
    """How a start begins."""

    COLD = "cold"
    WARM = "warm"
    RESTORE = "restore"


SHARED_RAM = "shared-ram"
CLONE_VARIANTS = ("private", SHARED_RAM)
"""The variants of mode restore, and of no other: where a clone's memory comes from."""


def go_together(variant: str, mode: Mode) -> bool:
    """Whether starts of that variant can begin in that mode."""
    return (variant in CLONE_VARIANTS) == (mode is Mode.RESTORE)


class Network(StrEnum):
    """The network an instance gets."""

    NONE = "none"
    BRIDGE = "bridge"
    USER = "user"


class Outcome(StrEnum):
    """How a trial ended."""

    READY = "ready"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Population(StrEnum):
    """Why a trial was made; only ``MEASURED`` is summarised as start-up."""

    MEASURED = "measured"
    WARMUP = "warmup"
    FILL = "fill"
    PROBE = "probe"
    MANUAL = "manual"
    CHURN = "churn"


class StopReason(StrEnum):
    """Why a density ramp ended."""

    SLO_READY = "slo_ready"
    SLO_PRESSURE = "slo_pressure"
    MEMORY_HEADROOM = "memory_headroom"
    MEMORY_BUDGET = "memory_budget"
    LAUNCH_FAILED = "launch_failed"
    INSTANCES_DIED = "instances_died"
    MAX_INSTANCES = "max_instances"
    CANCELLED = "cancelled"
    DISK_HEADROOM = "disk_headroom"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"


class RunState(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the run."""
        return self not in (RunState.PENDING, RunState.RUNNING)


class ProblemKind(StrEnum):
    """The kind of a problem, so that programs need not parse its message."""

    INVALID_INPUT = "invalid_input"
    UNAVAILABLE = "unavailable"
    LAUNCH_FAILED = "launch_failed"
    GUARD = "guard"
    LEAKED = "leaked"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that went wrong, told so that a person can act on it.

    ``evidence`` is what was seen, such as the last console lines: many lines,
    and of the workload's making, so it is no part of the sentence.
    """

    kind: ProblemKind
    message: str
    field: str = ""
    value: str = ""
    remedy: str = ""
    evidence: str = ""

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        value = f" (got {self.value!r})" if self.value else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{where}{self.message}{value}.{remedy}"

    def shortened(self) -> Problem:
        """The problem as a gRPC status may carry it, in 8 KiB of metadata with its text:
        the beginning of each sentence, the end of the evidence."""
        return replace(
            self,
            message=_beginning(self.message),
            value=_beginning(self.value),
            remedy=_beginning(self.remedy),
            evidence=self.evidence.encode()[-_EVIDENCE_BYTES:].decode(errors="ignore"),
        )


_TEXT_CHARACTERS = 600
_EVIDENCE_BYTES = 1500


def _beginning(text: str) -> str:
    return text if len(text) <= _TEXT_CHARACTERS else f"{text[: _TEXT_CHARACTERS - 1]}…"


@dataclass(frozen=True, slots=True)
class LogReadiness:
    """Ready when a line on the console contains ``line``."""

    line: str


@dataclass(frozen=True, slots=True)
class TcpReadiness:
    """Ready when bytes come back on a TCP connection."""

    port: int
    send: str = ""


@dataclass(frozen=True, slots=True)
class HttpReadiness:
    """Ready when an HTTP GET is answered with a 2xx status."""

    port: int
    path: str = "/"


@dataclass(frozen=True, slots=True)
class ConsoleHealth:
    """Healthy when the console answers ``ask`` with a line containing ``answer``."""

    ask: str
    answer: str


@dataclass(frozen=True, slots=True)
class HttpHealth:
    """Healthy when an HTTP GET is answered with a 2xx status."""

    port: int
    path: str = "/"


Readiness = LogReadiness | TcpReadiness | HttpReadiness
Health = ConsoleHealth | HttpHealth


@dataclass(frozen=True, slots=True)
class Workload:
    """What an instance runs: the same for every runtime compared."""

    name: str
    image: str
    readiness: Readiness
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    pull: bool = False
    health: Health | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One combination of factors that instances are launched with."""

    id: str
    runtime: str
    variant: str
    mode: Mode
    network: Network
    workload: Workload
    memory_bytes: int
    cpus: int = 1


@dataclass(frozen=True, slots=True)
class TargetTrials:
    """How many measured trials one target gets at each concurrency level."""

    target_id: str
    trials: int


@dataclass(frozen=True, slots=True)
class StartupStage:
    """Trials interleaved in randomised blocks."""

    targets: tuple[TargetTrials, ...]
    warmup: int
    concurrency: tuple[int, ...]
    ready_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Slo:
    """What the host must still deliver at a density step; ``None`` asks nothing."""

    ready_p95_seconds: float | None = None
    cpu_some_avg10: float | None = None
    memory_some_avg10: float | None = None
    io_some_avg10: float | None = None
    mem_available_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class DensityStage:
    """A ramp to a limit."""

    target_id: str
    step: int
    max_instances: int
    probes: int
    slo: Slo
    forecast_after_steps: int
    settle_seconds: float
    ready_timeout_seconds: float
    concurrency: int = 1
    memory_budget_bytes: int | None = None
    resolution: int = 1
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class FootprintStage:
    """Memory and disk over several counts of instances."""

    target_id: str
    counts: tuple[int, ...]
    repeats: int
    settle_seconds: float
    ready_timeout_seconds: float
    concurrency: int = 1


@dataclass(frozen=True, slots=True)
class IsolationStage:
    """Instances side by side, each asked what it sees of host and neighbours."""

    target_id: str
    instances: int
    answer_timeout_seconds: float
    ready_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class ChurnStage:
    """A steady number of instances, of which one after the other is replaced, open loop.

    ``max_in_flight``: a replacement that is due beyond it waits, and is late.
    """

    target_id: str
    instances: int
    rate_per_second: float
    duration_seconds: float
    readings: int
    settle_seconds: float
    ready_timeout_seconds: float
    concurrency: int = 1
    max_in_flight: int = 32


@dataclass(frozen=True, slots=True)
class MemoryFloorStage:
    """A search for the smallest memory in which a target becomes ready."""

    target_id: str
    low_bytes: int
    high_bytes: int
    launches: int
    ready_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Stage:
    """One experiment of a plan."""

    id: str
    experiment: (
        StartupStage
        | DensityStage
        | FootprintStage
        | ChurnStage
        | IsolationStage
        | MemoryFloorStage
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one agent does for one run, handed over whole."""

    run_id: str
    seed: int
    targets: tuple[Target, ...]
    stages: tuple[Stage, ...]
    noisy_above_share: float
    time_limit_seconds: float
    release_within_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a runtime on a host is and whether it can launch."""

    runtime: str
    state: RuntimeState
    reason: str
    version: str = ""
    accelerator: Accelerator = Accelerator.NONE
    accelerator_proof: str = ""
    variants: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    modes: tuple[Mode, ...] = ()
    readiness: tuple[str, ...] = ()
    components: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """A host as its agent finds it."""

    host: str
    agent_id: str
    agent_version: str
    boot_id: str
    kernel: str
    os: str
    architecture: str
    cpu_model: str
    cpus: int
    memory_bytes: int
    swap_bytes: int
    cgroup: str
    virtualization: str
    ksm: str
    transparent_huge_pages: str
    governor: str
    psi: bool
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt to launch one instance, whatever its outcome."""

    trial_id: str
    stage_id: str
    target_id: str
    accelerator: Accelerator
    population: Population
    concurrency: int
    block: int
    number: int
    attempt: int
    outcome: Outcome
    requested_at_unix_ns: int
    error: str = ""
    evidence: str = ""
    accepted_ns: int | None = None
    created_ns: int | None = None
    kernel_ns: int | None = None
    init_ns: int | None = None
    ready_ns: int | None = None
    cpu_ns: int | None = None
    foreign_cpu_share: float | None = None
    steal_share: float | None = None
    noisy: bool = False
    suspect: bool = False
    image_digest: str = ""
    fill: int = 0
    cpu_some_avg10: float | None = None
    cold_bytes: int | None = None
    cold_cached_bytes: int | None = None
    restored_ns: int | None = None
    guest_root: str = ""
    unit_ns: int | None = None


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """The end of a trial's instance."""

    trial_id: str
    attempt: int
    stopped_ns: int | None = None
    destroyed_ns: int | None = None
    error: str = ""
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """What host and instances look like at one moment."""

    instances: int
    alive: int
    answering: int
    mem_available_bytes: int | None = None
    pss_bytes: int | None = None
    cgroup_bytes: int | None = None
    vmm_overhead_bytes: int | None = None
    engine_bytes: int | None = None
    engine_cpu_ns: int | None = None
    disk_base_bytes: int | None = None
    disk_marginal_bytes: int | None = None
    cpu_some_avg10: float | None = None
    memory_some_avg10: float | None = None
    io_some_avg10: float | None = None
    foreign_bytes: int | None = None
    helper_bytes: int | None = None
    library_bytes: int | None = None
    application_bytes: int | None = None
    guest_ram_bytes: int | None = None
    group_bytes: int | None = None
    oom_kills: int | None = None
    group_peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One level of a density ramp, stored as it happens."""

    stage_id: str
    number: int
    sample: Sample
    probes: int
    met_slo: bool
    probe_p50_seconds: float | None = None
    probe_p95_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """The limit as foreseen from the first steps, stored before it is reached."""

    stage_id: str
    at_instances: int
    limit_instances: float
    limit_low: float
    limit_high: float
    constraint: StopReason


@dataclass(frozen=True, slots=True)
class DensityResult:
    """The end of a density ramp."""

    stage_id: str
    limit_instances: int
    stop_reason: StopReason
    binding_constraint: str


@dataclass(frozen=True, slots=True)
class FootprintPoint:
    """One measurement of a footprint series."""

    stage_id: str
    repeat: int
    sample: Sample


@dataclass(frozen=True, slots=True)
class HostProcess:
    """A process as the host sees it."""

    pid: int
    command: str


@dataclass(frozen=True, slots=True)
class InsideAnswer:
    """What one instance said of itself, and what the host sees of it."""

    trial_id: str
    mark: str
    facts_json: str = ""
    error: str = ""
    processes: tuple[HostProcess, ...] = ()
    marked_pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Inside:
    """What instances that live side by side see, and what their host sees of them."""

    stage_id: str
    host_facts_json: str
    answers: tuple[InsideAnswer, ...]


@dataclass(frozen=True, slots=True)
class ChurnStart:
    """An attempt that was made on schedule; ``late_seconds``: due to requested."""

    trial_id: str
    attempt: int
    due_seconds: float
    late_seconds: float


@dataclass(frozen=True, slots=True)
class ChurnReading:
    """Host and instances at one moment; ``at_seconds`` is ``None`` before the schedule began."""

    number: int
    sample: Sample
    at_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ChurnPoint:
    """A fact of a churn stage."""

    stage_id: str
    fact: ChurnStart | ChurnReading


@dataclass(frozen=True, slots=True)
class MemoryLevel:
    """One size of a search for the memory floor."""

    memory_bytes: int
    launches: int
    ready: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class MemoryFloor:
    """The smallest memory in which a target became ready."""

    stage_id: str
    floor_bytes: int | None
    levels: tuple[MemoryLevel, ...]
    bounded: bool = False


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began on this host."""

    facts: HostFacts
    runtimes: tuple[Fingerprint, ...]


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage began."""

    stage_id: str
    trials_expected: int


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage ended; ``problem`` says why if its work was not done."""

    stage_id: str
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a reader of the results must know."""

    message: str
    stage_id: str = ""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The plan ended on this host."""

    state: RunState
    problem: Problem | None = None
    removed: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunPrepared:
    """Every image of the plan is ready on this host."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An instance was started, saved and ended, for others to be restored from."""

    target_id: str
    variant: str
    seconds: float
    state_bytes: int


@dataclass(frozen=True, slots=True)
class RunReleased:
    """Launching began on this host."""


@dataclass(frozen=True, slots=True)
class RunResumed:
    """The agent went on with a run that had been interrupted."""

    number: int
    rebooted: bool
    reason: str


Payload = (
    RunStarted
    | StageStarted
    | Trial
    | TrialEnd
    | Step
    | Forecast
    | DensityResult
    | FootprintPoint
    | StageFinished
    | Notice
    | RunFinished
    | RunPrepared
    | Snapshot
    | RunReleased
    | RunResumed
    | Inside
    | ChurnPoint
    | MemoryFloor
)


@dataclass(frozen=True, slots=True)
class Event:
    """One fact of a run on one host. Sequences are contiguous from 1."""

    sequence: int
    recorded_at_unix_ns: int
    payload: Payload


@dataclass(frozen=True, slots=True)
class InstanceInfo:
    """One instance that an agent holds."""

    instance_id: str
    runtime: str
    run_id: str
    trial_id: str
    state: str
    requested_at_unix_ns: int
    image: str
