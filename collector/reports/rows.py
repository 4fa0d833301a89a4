"""The rows of a result: what was found of each subject on each host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Interval = tuple[float, float]
Phase = Literal[
    "accept", "create", "machine", "kernel", "init", "restore", "userspace", "total", "cpu"
]
PHASES: tuple[Phase, ...] = get_args(Phase)
"""In the order of a start, then the whole of it, then what it cost in CPU time."""
SOME: frozenset[Phase] = frozenset({"init", "restore"})
"""Those that only some VMs have: whole servers, and what is restored."""

Verdict = Literal["faster", "slower", "smaller", "larger", "no difference", "inconclusive"]


class Document(BaseModel):
    """A part of a result: nothing in it is changed, and nothing unknown is in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _OfHost(Document):
    host: str


class Kind(Document):
    """A subject, on whatever host."""

    runtime: str
    accelerator: Literal["none", "kvm", "tcg"]
    variant: str
    mode: Literal["cold", "warm", "restore"]
    network: Literal["none", "bridge", "user"]
    workload: str
    memory_bytes: int


class Subject(Kind, _OfHost):
    """What a row is about."""


class StartupFigures(Document):
    """Attempts counted and durations summarised, for one phase at one concurrency."""

    concurrency: int
    phase: Phase = Field(
        description="An interval of docs/measuring.md; cpu is CPU time, not a wall-clock phase."
    )
    requested: int = Field(description="Attempts: trials, and those made again (``retried``).")
    ready: int
    failed: int
    timed_out: int
    cancelled: int
    interrupted: int = Field(description="Attempts that the agent's own end cut short.")
    noisy: int
    n: int = Field(description="Samples behind the quantiles: ready trials that have this phase.")
    p50_seconds: float | None
    p50_ci_seconds: Interval | None = Field(description="95 % bootstrap interval of the median.")
    p95_seconds: float | None
    p99_seconds: float | None
    p50_reason: str | None = Field(default=None, description="Why p50 is null.")
    p95_reason: str | None = Field(description="Why p95 is null.")
    p99_reason: str | None = Field(description="Why p99 is null.")
    min_seconds: float | None
    max_seconds: float | None
    mean_seconds: float | None
    cached_share: float | None = Field(
        default=None,
        description="Median share of the files a start reads that the page cache held right "
        "before it; null where it was not looked at, as in runs without a cold target.",
    )
    guest_root: str | None = Field(
        default=None,
        description="Where a VM's file system lay: initramfs (in its memory) or disk; null for a "
        "container, and where its trials differ.",
    )
    retried: int = Field(
        default=0,
        description="Attempts after which the trial was made again: only a trial's last attempt "
        "is its outcome.",
    )


def phases_of(rows: Iterable[StartupFigures]) -> list[Phase]:
    """The phases worth a column: those of ``SOME`` where a start had them."""
    seen = {row.phase for row in rows}
    return [phase for phase in PHASES if phase in seen or phase not in SOME]


class StartupRow(StartupFigures, Subject):
    """Start-up of one subject at one concurrency, for one phase."""


class DensityStep(Document):
    """One level of a ramp."""

    instances: int
    mem_available_bytes: int | None
    foreign_bytes: int | None = Field(
        default=None,
        description="Anonymous memory of processes that are not ours; null if it was not read.",
    )
    pss_bytes: int | None
    cgroup_bytes: int | None
    group_bytes: int | None = Field(
        default=None,
        description="What the group under the hard limit holds, without page cache.",
    )
    group_peak_bytes: int | None = Field(
        default=None, description="The same at its highest since the step before."
    )
    oom_kills: int | None = Field(
        default=None, description="Killed for want of memory since the group was made."
    )
    cpu_some_avg10: float | None
    memory_some_avg10: float | None
    io_some_avg10: float | None
    probe_p50_seconds: float | None
    alive: int
    answering: int
    met_slo: bool = Field(description="Whether every demand held, the memory budget included.")


class DensityRow(Subject):
    """The limit of one subject on one host."""

    instances: int | None = Field(
        description="Largest N that met the SLO; null if the ramp did not end."
    )
    stop_reason: str | None
    binding_constraint: str | None
    memory_limit_bytes: int | None = Field(
        default=None, description="Hard limit of the group that the ramp filled; null for none."
    )
    forecast_instances: float | None
    forecast_ci: Interval | None
    forecast_at_instances: int | None
    forecast_error: float | None = Field(
        description="(forecast - instances) / instances; null unless the ramp got that far."
    )
    steps: list[DensityStep] = Field(
        description="In the order measured: up to the first that failed, then closing in."
    )
    refilled: int = Field(
        default=0, description="Instances launched again after an interruption; none is a new one."
    )


class FootprintRow(Subject):
    """What one more instance costs, by one estimator: the slope over N."""

    estimator: Literal[
        "mem_available", "pss", "cgroup", "vmm_overhead", "engine", "disk_base", "disk_marginal"
    ]
    bytes_per_instance: float | None = Field(
        description="Bytes for each further instance; for disk_base, bytes once."
    )
    ci_bytes: Interval | None
    n_points: int
    reason: str | None = Field(default=None, description="Why a figure is null.")
    refilled: int = Field(
        default=0, description="Instances launched again after an interruption; none is a new one."
    )


Facet = Literal["processes", "mounts", "hostname", "network"]


class Sight(Document):
    """Whether one instance sees something of its neighbours', or of the host's."""

    facet: Facet
    of: Literal["neighbour", "host"]
    seen: bool | None = Field(description="null: what was said cannot tell.")
    evidence: str = Field(description="What was read, in one sentence; the worst where several.")


class Inside(Document):
    """What one place said of itself; null is what it did not tell."""

    kernel: str | None
    boot_id: str | None
    start_time_unix: int | None = Field(description="When its kernel was booted, by /proc/stat.")
    hostname: str | None
    os: str | None
    processes: int | None
    mounts: int | None
    links: list[str] | None = Field(description="Network interfaces, a line each.")
    uid_map: str | None
    namespaces: dict[str, str]
    error: str | None = Field(default=None, description="Why it told nothing.")


Same = Literal["host's", "own", "mixed"]


class IsolationRow(Subject):
    """What instances that lived side by side see of host and neighbours."""

    instances: int
    answered: int
    kernel: Same | None = Field(
        description="Release of the kernel inside, against the host's; null if not told."
    )
    boot_id: Same | None = Field(description="Boot id inside, against the host's.")
    start_time: Same | None = Field(
        description="Start of the kernel inside, against the host's, to 5 s."
    )
    sights: list[Sight]
    host_sees: list[str] = Field(description="What the host sees of each instance, in words.")
    host_sees_workload: int | None = Field(
        description="Instances whose workload is a process of the host; null if none was asked."
    )
    outside: Inside | None = Field(description="What the host told of itself.")
    inside: list[Inside]
    reason: str | None = Field(default=None, description="Why a figure is null.")


Layer = Literal[
    "hardware",
    "host_os",
    "engine",
    "guest_kernel",
    "guest_userspace",
    "guest",
    "guest_free",
    "libraries",
    "application",
    "unexplained",
]
LAYERS: tuple[Layer, ...] = get_args(Layer)
"""From the ground up, then the rest. ``engine`` is an engine with its shim, or a VMM; ``guest``
is a guest's kernel and user space where they are not told apart, ``guest_free`` memory that a guest
has touched, uses no more, and keeps."""


class LayerRow(Subject):
    """One box of the stack: what one more instance takes in it, and how long a start spends."""

    layer: Layer
    bytes_per_instance: float | None = Field(description="Slope over N, as in footprint rows.")
    bytes_reason: str | None = Field(description="Why bytes_per_instance is null.")
    seconds: float | None = Field(description="Median at the lowest concurrency.")
    seconds_reason: str | None = Field(description="Why seconds is null.")


class MemoryTried(Document):
    """One size of a search for the memory floor."""

    memory_bytes: int
    launches: int
    ready: int
    error: str | None = Field(description="What ended the launch that did not become ready.")


class MemoryFloorRow(Subject):
    """The smallest memory in which a subject started, by search; its own ``memory_bytes``
    was not used."""

    floor_bytes: int | None = Field(
        description="The smallest size at which every launch became ready; null with a reason."
    )
    failed_bytes: int | None = Field(
        description="The largest size below it that did not start; null where none was tried."
    )
    bounded: bool = Field(
        description="Whether the floor is the lower bound of the search, and may be less."
    )
    launches: int = Field(description="Launches at each size.")
    tried: list[MemoryTried]
    reason: str | None = Field(default=None, description="Why there is no floor.")


class SnapshotRow(Subject):
    """What instances in mode ``restore`` were restored from; made before any of them, outside
    of every timed window."""

    seconds: float = Field(description="Starting the template, saving it, and ending it.")
    state_bytes: int = Field(description="Bytes on disk that it left for the clones.")


class ComparisonRow(Document):
    """One metric of two subjects, measured in the same run on the same host."""

    metric: str = Field(
        description="startup.total, or footprint.<estimator>, or density.instances."
    )
    baseline: Subject
    candidate: Subject
    concurrency: int | None
    ratio: float | None = Field(description="candidate / baseline.")
    ci: Interval | None
    p_value: float | None
    n_baseline: int
    n_candidate: int
    verdict: Verdict
    reason: str = Field(description="One sentence behind the verdict.")
