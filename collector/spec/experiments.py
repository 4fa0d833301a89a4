"""The experiments of the file, and the file itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any, NamedTuple, Self, TypeVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from collector.spec.churn import Churn
from collector.spec.parts import Name, Part, TargetSpec, WorkloadSpec
from collector.spec.settings import RunSettings
from collector.spec.units import Budget, Deadline, Effect, InstanceMemory, Percent, Seconds
from tonnage.model import Mode, Network

Trials = Annotated[int, Field(strict=True, ge=1, le=100_000)]
InFlight = Annotated[int, Field(strict=True, ge=1, le=256)]
Count = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Counts = Annotated[tuple[Count, ...], Field(min_length=2, max_length=32)]


class StartupTweak(Part):
    """What one target does otherwise."""

    trials: Trials | None = None
    """Its measured trials at each concurrency level."""


class Startup(Part):
    """How fast instances start, all targets interleaved in randomised blocks."""

    trials: Trials
    """Measured trials of each target at each concurrency level."""
    warmup: Annotated[int, Field(strict=True, ge=0, le=1000)] = 2
    """Trials of each target before the first level; stored, never counted."""
    concurrency: tuple[InFlight, ...] = Field(default=(1,), min_length=1, max_length=16)
    """How many trials are in flight at once, level after level."""
    per_target: Mapping[Name, StartupTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""


class SloSpec(Part):
    """What the host must still deliver at a density step; absent asks nothing."""

    ready_p95: Deadline | None = None
    """Largest p95 of the probes' starts, request to ready."""
    cpu_pressure: Percent | None = None
    """Largest share of time in which some task waited for a CPU (PSI, 10 s)."""
    memory_pressure: Percent | None = None
    """Largest share of time in which some task waited for memory (PSI, 10 s)."""
    io_pressure: Percent | None = None
    """Largest share of time in which some task waited for disks (PSI, 10 s)."""
    available_memory: Budget | None = None
    """Smallest memory that must stay available on the host."""


class DensityTweak(Part):
    """What one target does otherwise."""

    step: Count | None = None
    """Fill instances added at each step."""
    max_instances: Count | None = None
    """Largest number of fill instances."""
    probes: Annotated[int, Field(strict=True, ge=0, le=1000)] | None = None
    """Probe instances launched, and removed, at each step."""
    memory_budget: Budget | None = None
    """Memory the fill instances may use."""
    memory_limit: Budget | None = None
    """Hard limit of a memory cgroup that all instances of the ramp are placed below."""
    slo: SloSpec | None = None
    """What must hold at each step."""
    forecast_after: Annotated[int, Field(strict=True, ge=2, le=1000)] | None = None
    """Steps after which the limit is forecast."""
    settle: Seconds | None = None
    """Rest before each measurement."""
    concurrency: InFlight | None = None
    """Fill launches in flight at once."""
    resolution: Count | None = None
    """How closely the limit is looked for between the last step that held and the next."""


class Density(DensityTweak):
    """How many instances the host carries: a ramp, step by step, to a limit."""

    step: Count = 1
    """Fill instances added at each step."""
    max_instances: Count
    """Largest number of fill instances."""
    probes: Annotated[int, Field(strict=True, ge=0, le=1000)] = 1
    """Probe instances launched, and removed, at each step."""
    slo: SloSpec = SloSpec()
    """What must hold at each step."""
    forecast_after: Annotated[int, Field(strict=True, ge=2, le=1000)] = 3
    """Steps after which the limit is forecast."""
    settle: Seconds = 1.0
    """Rest before each measurement."""
    concurrency: InFlight = 1
    """Fill launches in flight at once."""
    resolution: Count = 1
    """How closely the limit is looked for between the last step that held and the next."""
    per_target: Mapping[Name, DensityTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""


class FootprintTweak(Part):
    """What one target does otherwise."""

    counts: Counts | None = None
    """Counts of instances, ascending; the empty host is always measured first."""
    repeats: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    """How often the whole series is measured."""
    settle: Seconds | None = None
    """Rest before each measurement."""
    concurrency: InFlight | None = None
    """Launches in flight at once."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        counts = self.counts or ()
        if list(counts) != sorted(set(counts)):
            raise PydanticCustomError("ascending", "counts must ascend, each one once")
        return self


class Footprint(FootprintTweak):
    """What one more instance costs in memory and disk: a slope over several counts."""

    counts: Counts
    """Counts of instances, ascending; the empty host is always measured first."""
    repeats: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1
    """How often the whole series is measured."""
    settle: Seconds = 1.0
    """Rest before each measurement."""
    concurrency: InFlight = 1
    """Launches in flight at once."""
    per_target: Mapping[Name, FootprintTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""


class IsolationTweak(Part):
    """What one target does otherwise."""

    instances: Annotated[int, Field(strict=True, ge=2, le=32)] | None = None
    """Instances that live side by side, each asked what it sees."""


class Isolation(IsolationTweak):
    """What one instance sees of the host and of its neighbours."""

    instances: Annotated[int, Field(strict=True, ge=2, le=32)] = 2
    """Instances that live side by side, each asked what it sees."""
    per_target: Mapping[Name, IsolationTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""


class MemoryFloorTweak(Part):
    """What one target does otherwise."""

    low: InstanceMemory | None = None
    """The smallest memory tried, in whole MiB."""
    high: InstanceMemory | None = None
    """The largest memory tried, in whole MiB."""
    launches: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    """Launches at each size, all of which must become ready."""


class MemoryFloor(MemoryFloorTweak):
    """The smallest memory in which an instance starts, found by search."""

    low: InstanceMemory = 16 << 20
    """The smallest memory tried, in whole MiB."""
    high: InstanceMemory = 512 << 20
    """The largest memory tried, in whole MiB."""
    launches: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    """Launches at each size, all of which must become ready."""
    per_target: Mapping[Name, MemoryFloorTweak] = Field(default_factory=dict, max_length=64)
    """Other values for one target, by its name or runtime."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        tweaks = [(own.low or self.low, own.high or self.high) for own in self.per_target.values()]
        for low, high in ((self.low, self.high), *tweaks):
            if low % _MEBIBYTE or high % _MEBIBYTE or low >= high:
                text = "low and high are whole MiB, and low is less than high"
                raise PydanticCustomError("bounds", text)
        return self


class Compare(Part):
    """How targets are compared."""

    baseline: Name | None = None
    """The target every other one is compared with, by name or runtime; absent: the first."""
    minimum_effect: Effect = 0.05
    """A smaller difference is no difference."""


_MEBIBYTE = 1 << 20
EXPERIMENTS = ("startup", "density", "footprint", "churn", "isolation", "memory_floor")


class Combination(NamedTuple):
    """One target of the experiment: an entry of ``targets`` with its factors chosen."""

    id: str
    entry: TargetSpec
    variant: str | None
    mode: Mode
    network: Network
    memory_bytes: int
    cpus: int
    workload: str | None

    def called(self, name: str) -> bool:
        """Whether ``name`` means this target: its id, its entry's name, or its runtime."""
        return name in (self.id, self.entry.name, self.entry.runtime)


class Spec(RunSettings):
    """An experiment: what to launch, where, and what to measure."""

    workload: WorkloadSpec | None = None
    """What runs in every instance. Either this or ``workloads``."""
    workloads: Mapping[Name, WorkloadSpec] = Field(default_factory=dict, max_length=64)
    """Several workloads by name, for targets to choose from."""
    targets: tuple[TargetSpec, ...] = Field(min_length=1, max_length=64)
    """What is launched."""
    startup: Startup | None = None
    """How fast instances start."""
    density: Density | None = None
    """How many instances the host carries."""
    footprint: Footprint | None = None
    """What one more instance costs."""
    churn: Churn | None = None
    """How starts and memory fare while instances come and go."""
    isolation: Isolation | None = None
    """What one instance sees of the host and of its neighbours."""
    memory_floor: MemoryFloor | None = None
    """The smallest memory in which an instance starts."""
    compare: Compare = Compare()
    """How targets are compared."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for rule in (_measures, _workloads, _unique, _names, _cold_alone, _asked, _limited):
            rule(self)
        return self

    def combinations(self) -> tuple[Combination, ...]:
        """Every target, in the order of the file."""
        return tuple(item for entry in self.targets for item in _expand(entry))

    @property
    def baseline_id(self) -> str:
        """The id of the target that the others are compared with."""
        name = self.compare.baseline
        return next(c.id for c in self.combinations() if name is None or c.called(name))


def _expand(entry: TargetSpec) -> Iterator[Combination]:
    factors: tuple[tuple[Any, ...], ...] = (
        entry.variant or (None,),
        entry.mode,
        entry.network,
        entry.memory,
        entry.cpus,
        entry.workload or (None,),
    )
    for levels in product(*factors):
        chosen = [
            _level(level, index)
            for index, (level, factor) in enumerate(zip(levels, factors, strict=True))
            if len(factor) > 1
        ]
        yield Combination("-".join([entry.name or entry.runtime, *chosen]), entry, *levels)


def _level(level: Any, index: int) -> str:
    if index == _MEMORY:
        return f"{level // 2**20}m" if level % 2**20 == 0 else f"{level}b"
    return f"{level}cpu" if index == _MEMORY + 1 else str(level)


_MEMORY = 3

T = TypeVar("T", bound=Part)


def tweaked(experiment: T, tweaks: Mapping[str, Part], target: Combination) -> T:
    """Return ``experiment`` with what ``tweaks`` says otherwise of ``target``.

    A tweak by the target's own name outweighs one by its runtime.
    """
    for name in (target.entry.runtime, target.entry.name, target.id):
        if name is not None and name in tweaks:
            changes = {key: getattr(tweaks[name], key) for key in tweaks[name].model_fields_set}
            experiment = experiment.model_copy(update=changes)
    return experiment


def _wrong(message: str, remedy: str, *at: str | int) -> PydanticCustomError:
    return PydanticCustomError(
        "inconsistent", "{text}", {"text": message, "remedy": remedy, "at": at}
    )


def _measures(spec: Spec) -> None:
    if all(getattr(spec, name) is None for name in EXPERIMENTS):
        remedy = f"Add {', '.join(EXPERIMENTS[:-1])} or {EXPERIMENTS[-1]}."
        raise _wrong("the experiment measures nothing", remedy)


def _workloads(spec: Spec) -> None:
    if (spec.workload is None) == (not spec.workloads):
        raise _wrong("needs either workload or workloads", "Describe what every instance runs.")
    for index, entry in enumerate(spec.targets):
        if spec.workloads and not entry.workload:
            remedy = f"Choose from {', '.join(spec.workloads)}."
            raise _wrong("this target chooses no workload", remedy, "targets", index)
        for name in entry.workload:
            if name not in spec.workloads:
                known = ", ".join(spec.workloads) or "none: remove this line to use workload"
                text = f"no workload is called {name}"
                raise _wrong(text, f"Known: {known}.", "targets", index, "workload")


def _cold_alone(spec: Spec) -> None:
    """A cold start needs a host that reads none of its files at the same time."""
    for index, entry in enumerate(spec.targets):
        if Mode.COLD not in entry.mode:
            continue
        remedy = "Leave mode cold to a file of its own, with startup alone and concurrency: 1."
        for part in EXPERIMENTS[1:]:
            if getattr(spec, part) is not None:
                text = f"mode cold is for startup alone, and the file asks for {part} too"
                raise _wrong(text, remedy, "targets", index, "mode")
        if spec.startup is not None and max(spec.startup.concurrency) > 1:
            text = "cold starts are made one at a time"
            raise _wrong(text, remedy, "startup", "concurrency")


def _unique(spec: Spec) -> None:
    seen: set[str] = set()
    for index, entry in enumerate(spec.targets):
        for target in _expand(entry):
            if target.id in seen:
                text = f"two targets are called {target.id}"
                raise _wrong(text, "Give one of them a name.", "targets", index)
            seen.add(target.id)


def _asked(spec: Spec) -> None:
    """Isolation asks on the console, which is open where a health check uses it."""
    described = [("workloads", name, each) for name, each in spec.workloads.items()]
    if spec.workload is not None:
        described.append(("workload", "", spec.workload))
    for key, name, each in described if spec.isolation is not None else ():
        if each.health is None or each.health.console is None:
            remedy = (
                "Use tonnage/idle:1, or a workload that answers mark NAME and facts as it does,"
                " with health: {console: {ask: ping, answer: pong}}."
            )
            text = "isolation cannot ask this workload what it sees: it has no console check"
            raise _wrong(text, remedy, *((key, name) if name else (key,)))


def _limited(spec: Spec) -> None:
    """Under a hard limit starts side by side would hold their peaks at once."""
    if spec.density is None:
        return
    for target in spec.combinations():
        density = tweaked(spec.density, spec.density.per_target, target)
        if density.memory_limit is not None and density.concurrency > 1:
            text = f"{target.id} has a memory_limit: its instances are launched one after another"
            raise _wrong(text, "Set concurrency: 1 for it.", "density", "concurrency")


def _names(spec: Spec) -> None:
    targets = spec.combinations()
    for key in EXPERIMENTS:
        for name in getattr(getattr(spec, key), "per_target", ()):
            _known(name, targets, key, "per_target", name)
    if spec.compare.baseline is not None:
        matches = _known(spec.compare.baseline, targets, "compare", "baseline")
        if len(matches) > 1:
            remedy = f"Choose one of {', '.join(target.id for target in matches)}."
            text = f"{spec.compare.baseline} means {len(matches)} targets"
            raise _wrong(text, remedy, "compare", "baseline")


def _known(name: str, targets: tuple[Combination, ...], *at: str) -> list[Combination]:
    matches = [target for target in targets if target.called(name)]
    if not matches:
        known = ", ".join(target.id for target in targets)
        raise _wrong(f"no target is called {name}", f"Known: {known}.", *at)
    return matches
