"""Which subject a stored row is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from collector.model import RunData
from collector.reports.model import Kind, Subject
from tonnage.model import (
    Accelerator,
    ChurnStage,
    DensityStage,
    FootprintPoint,
    FootprintStage,
    Inside,
    IsolationStage,
    MemoryFloor,
    MemoryFloorStage,
    Outcome,
    Population,
    StartupStage,
    Step,
    Target,
)


@dataclass(frozen=True, slots=True)
class Key:
    """A subject inside one run: equal subjects of two targets (an A/A) stay apart."""

    host: str
    target_id: str
    accelerator: Accelerator


class Subjects:
    """The subjects of a run, in the order of its plans."""

    def __init__(self, data: RunData) -> None:
        self._targets = {
            (host.host, target.id): target
            for host in sorted(data.hosts, key=lambda host: host.host)
            for target in host.plan.targets
        }
        self._targets |= {(row.host, row.target.id): row.target for row in data.trials}
        self._order = {place: index for index, place in enumerate(self._targets)}
        self._seen: dict[tuple[str, str], Counter[Accelerator]] = {}
        for row in data.trials:
            seen = self._seen.setdefault((row.host, row.target.id), Counter())
            seen[row.trial.accelerator] += 1
        self._elsewhere: dict[str, Counter[Accelerator]] = {}
        for (_, target_id), seen in self._seen.items():
            self._elsewhere.setdefault(target_id, Counter()).update(seen)
        self._refilled = Counter(
            (row.host, row.trial.stage_id)
            for row in data.trials
            if row.trial.attempt > 1 and row.trial.population is Population.FILL
        )
        self._fingerprints = {
            (host.host, print_.runtime): print_.accelerator
            for host in data.hosts
            for print_ in host.runtimes
        }

    def target(self, key: Key) -> Target:
        """The target of a key."""
        return self._targets[key.host, key.target_id]

    def key(self, host: str, target_id: str) -> Key:
        """The key of a target on a host, by the accelerator that most of its trials ran on.

        Without trials, by what the runtime's fingerprint says; of a host that said
        nothing, by what most trials of the target on other hosts ran on.
        """
        seen = self._seen.get((host, target_id))
        if seen:
            return Key(host, target_id, seen.most_common(1)[0][0])
        runtime = self._targets[host, target_id].runtime
        accelerator = self._fingerprints.get((host, runtime))
        if accelerator is None:
            elsewhere = self._elsewhere.get(target_id)
            accelerator = elsewhere.most_common(1)[0][0] if elsewhere else Accelerator.NONE
        return Key(host, target_id, accelerator)

    def refilled(self, host: str, stage_id: str) -> int:
        """Fill instances of a stage that were launched again after an interruption."""
        return self._refilled[host, stage_id]

    def subject(self, key: Key) -> Subject:
        """The subject as rows begin with it."""
        target = self.target(key)
        return Subject(
            host=key.host,
            runtime=target.runtime,
            accelerator=key.accelerator.value,
            variant=target.variant,
            mode=target.mode.value,
            network=target.network.value,
            workload=target.workload.name,
            memory_bytes=target.memory_bytes,
        )

    def kind(self, key: Key) -> Kind:
        """The subject but for its host."""
        subject = self.subject(key)
        return Kind(**{name: getattr(subject, name) for name in Kind.model_fields})

    def place(self, key: Key) -> tuple[int, str]:
        """Sorts keys by host, then in the order of the plan."""
        return self._order[key.host, key.target_id], key.accelerator.value


def measured_hosts(data: RunData) -> set[str]:
    """The hosts that gave a trial with an outcome of its own, warm-ups aside, a step, a point,
    what instances see, or a memory floor."""
    kinds = Step | FootprintPoint | Inside | MemoryFloor
    readings = {row.host for row in data.facts if isinstance(row.fact, kinds)}
    return readings | {
        row.host
        for row in data.trials
        if row.trial.population is not Population.WARMUP
        and row.trial.outcome is not Outcome.INTERRUPTED
    }


def label(subjects: Subjects, key: Key) -> str:
    """A key in a sentence: ``docker on h1``."""
    return f"{name(subjects, key)} on {key.host}"


def name(subjects: Subjects, key: Key) -> str:
    """A key in a sentence, but for its host: ``qemu-microvm (TCG)``."""
    chip = "" if key.accelerator is Accelerator.NONE else f" ({key.accelerator.upper()})"
    runtime = subjects.target(key).runtime
    return f"{runtime if key.target_id == runtime else key.target_id}{chip}"


E = TypeVar(
    "E",
    StartupStage,
    DensityStage,
    FootprintStage,
    ChurnStage,
    IsolationStage,
    MemoryFloorStage,
)


def stages(data: RunData, kind: type[E]) -> Iterator[tuple[str, str, E]]:
    """Host, stage id and experiment of every stage of one kind, hosts by name."""
    for host in sorted(data.hosts, key=lambda host: host.host):
        for stage in host.plan.stages:
            if isinstance(stage.experiment, kind):
                yield host.host, stage.id, stage.experiment


def planned_levels(data: RunData, subjects: Subjects) -> Iterator[tuple[Key, int]]:
    """Every subject and concurrency that the plans' startup stages ask for."""
    for host, _, experiment in stages(data, StartupStage):
        for target in experiment.targets:
            for level in experiment.concurrency:
                yield subjects.key(host, target.target_id), level
