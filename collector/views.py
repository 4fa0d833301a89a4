"""What the collector tells of hosts, runs in progress and instances.

Each class mirrors the message of its name in ``v1/collector.proto``, which holds
the meaning of every field.
"""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.model import (
    Fingerprint,
    HostFacts,
    InstanceInfo,
    Problem,
    RunState,
    Trial,
)


@dataclass(frozen=True, slots=True)
class HostInfo:
    """A host as the collector knows it."""

    facts: HostFacts
    runtimes: tuple[Fingerprint, ...]
    address: str
    metrics_address: str
    state: str
    last_seen_unix_ns: int
    draining: bool = False
    protocol: int = 0
    metrics_tls: bool = False

    @property
    def healthy(self) -> bool:
        """Whether its agent renews its lease, and new runs may use it."""
        return self.state == "healthy"


@dataclass(frozen=True, slots=True)
class Inventory:
    """The hosts, and the version of the collector that knows them."""

    hosts: tuple[HostInfo, ...]
    collector_version: str


@dataclass(frozen=True, slots=True)
class HostProgress:
    """One host's progress in a run."""

    host: str
    state: RunState
    stage_id: str
    stages_done: int
    stages_total: int
    trials_done: int
    trials_expected: int
    ready: int
    failed: int
    instances: int
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A run's progress on all of its hosts."""

    run_id: str
    state: RunState
    hosts: tuple[HostProgress, ...]
    problem: Problem | None = None
    queue_position: int = 0
    behind: tuple[str, ...] = ()
    start_skew_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run in a list."""

    run_id: str
    name: str
    state: RunState
    started_at_unix_ns: int
    hosts: tuple[str, ...]
    trials: int
    finished_at_unix_ns: int | None = None
    queue_position: int = 0


@dataclass(frozen=True, slots=True)
class HeldRun:
    """A run of which an agent holds events that are not known to be stored."""

    run_id: str
    last_sequence: int
    finished: bool


@dataclass(frozen=True, slots=True)
class HostInstance:
    """One instance and where it is."""

    host: str
    instance: InstanceInfo


@dataclass(frozen=True, slots=True)
class Instances:
    """The instances, and the hosts that could not be asked."""

    instances: tuple[HostInstance, ...]
    unreached: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostCleaning:
    """What one host removed, and what survived."""

    host: str
    removed: tuple[str, ...]
    leaked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What was removed, and the hosts that could not be asked."""

    hosts: tuple[HostCleaning, ...]
    unreached: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostKilled:
    """What one host killed when it was told to stop everything."""

    host: str
    killed: tuple[str, ...]
    alive: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """One answer of one host that was told to stop everything."""

    host: str
    answer: HostKilled | HostCleaning | Problem


@dataclass(frozen=True, slots=True)
class Resumed:
    """A run that was taken up again, and the hosts that go on."""

    run_id: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """A run without trials: how many the call removed, and when they were first removed."""

    run_id: str
    trials: int
    removed_at_unix_ns: int


@dataclass(frozen=True, slots=True)
class Launched:
    """An instance launched by hand, and how its start went."""

    instance: InstanceInfo
    trial: Trial


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Hosts that took a cancellation, and hosts that could not be reached."""

    reached: tuple[str, ...]
    unreached: tuple[str, ...]
