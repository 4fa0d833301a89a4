"""What the runner asks of a runtime. Implementations import this, never the reverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from agent.clock import Timeline
from agent.process import ProcessView
from tonnage.model import Fingerprint, Network, Target, Workload


@dataclass(frozen=True, slots=True)
class Scope:
    """Who an instance belongs to. Every instance carries it as labels or name.

    ``agent_id`` alone decides ownership: an agent never sees or touches an
    instance of another scope.
    """

    agent_id: str
    run_id: str = ""
    trial_id: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image made ready for a runtime, outside every timed window.

    ``digest`` identifies what will run; ``paths`` are the files whose
    allocated blocks are the disk base, and ``paths_on`` those of launches on a
    network that takes others; ``payload`` is the runtime's own. ``guest_root`` says
    where a VM's file system lies, ``initramfs`` or ``disk``; empty for a container
    and where a runtime has no choice.
    """

    workload: Workload
    digest: str
    paths: tuple[Path, ...] = ()
    payload: object = None
    guest_root: str = ""
    paths_on: Mapping[Network, tuple[Path, ...]] = field(default_factory=dict)

    def paths_for(self, target: Target) -> tuple[Path, ...]:
        """The paths of this target's launches."""
        return self.paths_on.get(target.network, self.paths)


@dataclass(frozen=True, slots=True)
class ParentGroup:
    """A cgroup with a hard memory limit, made and removed by the runner.

    ``path`` is its place in every hierarchy, as an engine wants to be told it
    (``/tonnage-limit-…``); ``folder`` is where the hierarchy that has the memory
    controller shows it: version 1's memory hierarchy, or the unified one.
    """

    path: str
    folder: Path


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """One launch. ``instance_id`` is unique and safe as a name of 1 to 63 characters
    of ``[a-z0-9-]``; the instance can be found again by it after a crash.

    The instance must end by itself ``lifetime_seconds`` after its launch where
    the runtime can arrange that.

    ``cgroup_parent``: the instance's own cgroup is made below this one, from before
    its first process on, and removed with it; asked only of a runtime that
    ``takes_parent_group``. What is charged elsewhere (a shim, a daemon) the runtime
    says in its documentation.
    """

    instance_id: str
    scope: Scope
    target: Target
    prepared: Prepared
    lifetime_seconds: float
    cgroup_parent: ParentGroup | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a runtime can be asked for. Asking for more is refused beforehand."""

    variants: tuple[str, ...] = ("default",)
    networks: tuple[Network, ...] = (Network.NONE,)
    modes: tuple[str, ...] = ("warm",)
    readiness: tuple[str, ...] = ("log",)
    health: tuple[str, ...] = ("console",)
    takes_memory: bool = True
    """Whether instances really take memory, so that it is set aside for those that start."""
    takes_parent_group: bool = False
    """Whether it places instances below ``LaunchSpec.cgroup_parent``."""


class Instance(Protocol):
    """One launched container or VM. The runtime that made it owns its parts."""

    @property
    def id(self) -> str:
        """The ``instance_id`` it was launched with."""

    async def ready(self) -> None:
        """Wait for the ready condition and mark ``ready`` (and, for a VM, ``kernel``
        and ``init``) on the timeline it was launched with.

        Has no deadline of its own: the caller bounds it and may cancel it at
        any point. Raises ``InstanceExited`` with evidence if the instance ends first.
        """

    def evidence(self) -> str:
        """The last console lines and what else explains a failure; never raises."""

    def processes(self) -> ProcessView:
        """Its processes now; empty once it is gone. Reads only /proc and cgroups."""

    def cpu_ns(self) -> int | None:
        """CPU time its processes have used, ``None`` where the kernel does not say."""

    async def alive(self) -> bool:
        """Whether it still runs. Cheap: called for every instance at every step."""

    async def answers(self) -> bool:
        """Whether its health check is answered within a few seconds (true when the
        workload declares none and it is alive). No exec."""

    async def stop(self, grace_seconds: float) -> None:
        """Ask it to stop, then kill it after the grace. Idempotent."""

    async def destroy(self) -> None:
        """Remove everything of it and verify that nothing survived.

        Idempotent; kills what still runs; goes on past parts that are gone.
        Marks ``stopped`` and ``destroyed``. Raises ``InstanceLeaked``.
        """


@runtime_checkable
class Conversing(Protocol):
    """An instance whose workload can be asked questions on its console.

    Optional: offered by instances that were launched with a console health check,
    and held by the object that launched them.
    """

    async def ask(self, line: str, until: str, timeout_seconds: float) -> str:
        """Send ``line`` to the workload; what its console says from then on, up to the end
        of the text ``until``, which ``line`` does not contain.

        No exec. Raises ``NoAnswer`` when the time is over, the console is at its end,
        or nobody listens.
        """


class Runtime(Protocol):
    """A way to run an instance. Shared by all trials; safe for concurrent launches."""

    @property
    def name(self) -> str:
        """Its name in specs and rows."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can be asked for."""

    async def fingerprint(self) -> Fingerprint:
        """What it is and whether it can launch. Never raises: trouble is a state
        with a sentence of reason. Bounded to a few seconds."""

    async def prepare(self, workload: Workload) -> Prepared:
        """Make an image ready. Idempotent, and never inside a timed window.

        Raises ``ImageNotFound``, ``InvalidInput`` or ``RuntimeUnavailable``.
        """

    async def launch(self, spec: LaunchSpec, timeline: Timeline) -> Instance:
        """Start one instance; returns once it exists, before it is ready.

        ``timeline`` began just before this call; marks ``accepted`` and
        ``created``. Every byte of its console from the first is seen by
        ``Instance.ready``. Cleans up after itself on ``BaseException``, and
        raises ``LaunchFailed`` or ``RuntimeUnavailable``.
        """

    async def recover(self, instance_id: str) -> Instance | None:
        """Take hold of an instance of this agent that outlived a crash, so that it
        can be destroyed; ``None`` when nothing of it is left."""

    async def reap(self, scope: Scope) -> Sequence[str]:
        """Remove every instance of the scope's agent (of its run only, where
        ``run_id`` is set) and whatever is left of any; return their ids.

        Touches nothing of another agent. Raises ``InstanceLeaked``, which names the
        ids of all that survived, after trying all.
        """

    def engine_pids(self) -> Sequence[int]:
        """The engine's daemons now (dockerd, containerd, proxies); none for a VMM."""

    async def close(self) -> None:
        """Let go of connections. Idempotent; destroys no instance."""


@dataclass(frozen=True, slots=True)
class Template:
    """A started instance, saved, that others are restored from.

    ``prepared`` is what a launch in mode ``restore`` takes. What was saved belongs
    to the instance ``instance_id``, which ``recover`` finds and ``reap`` removes like
    any other: destroying it removes the snapshot. ``state_bytes`` are its allocated
    blocks; ``seconds`` from its request until it was saved.
    """

    prepared: Prepared
    instance_id: str
    state_bytes: int
    seconds: float


@runtime_checkable
class Snapshottable(Protocol):
    """A runtime that can start instances from a snapshot. It offers the mode ``restore``,
    with variants of its own for it."""

    async def snapshot(self, target: Target, prepared: Prepared, scope: Scope) -> Template:
        """Start an instance of ``target``, wait until it is ready, save and end it.

        Outside every timed window; bounded to some minutes. Cleans up after itself
        on ``BaseException``. Raises ``LaunchFailed`` with evidence, ``RuntimeUnavailable``,
        or ``InvalidInput`` for a workload without a question to ask a restored one.
        """


@runtime_checkable
class Evictable(Protocol):
    """A runtime whose starts can be made cold, as its files are known. It offers the mode
    ``cold`` on hosts where they are."""

    def start_files(self, target: Target, prepared: Prepared) -> Sequence[Path]:
        """The files and trees that a start of ``target`` reads: the layers or disks of its
        image, kernel and initramfs, and the programs that are executed for it, not those
        that run already. Blocking: called in a thread, once for each way in which a run
        starts an image. Raises ``OSError`` where one of them is not to be found, and
        ``RuntimeUnavailable`` where the engine cannot be asked."""
