"""Launching VMs: the way from a request to a VMM that exists, booted or restored."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

from agent.clock import Mark, Timeline
from agent.errors import LaunchFailed
from agent.runtimes import cgroups
from agent.runtimes.base import LaunchSpec, Prepared
from agent.runtimes.qemu.clone import Clone
from agent.runtimes.qemu.instance import Launched, QemuInstance
from agent.runtimes.qemu.machine import Machine, process_name
from agent.runtimes.qemu.network import own_address
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.profile import Bootable, Profile
from agent.runtimes.qemu.removal import remove_remains
from agent.runtimes.qemu.snapshot import clone
from agent.runtimes.qemu.starting import Started, start
from agent.runtimes.records import Record
from tonnage.model import LogReadiness, Network

V = TypeVar("V", bound=QemuInstance)
Shape = Callable[[Machine], Machine]


class Launcher:
    """Launches VMs of one profile, for one agent."""

    def __init__(self, agent_id: str, profile: Profile, places: Places) -> None:
        self._agent_id = agent_id
        self._profile = profile
        self._places = places
        self._groups = cgroups.parents()
        self._held: WeakSet[QemuInstance] = WeakSet()

    def let_go(self) -> None:
        """Close the consoles and monitors of all VMs; they live on."""
        for instance in tuple(self._held):
            instance.let_go()

    async def boot(
        self, spec: LaunchSpec, timeline: Timeline, shape: Shape = lambda machine: machine
    ) -> QemuInstance:
        """Boot a VM of the profile's machine, or of what ``shape`` makes of it, until the VMM
        answers. Raises ``LaunchFailed`` with nothing left of it."""
        record = self._record(spec)
        bootable = bootable_of(spec.prepared)
        started = await self._begin(spec, bootable, record, shape)
        timeline.mark(Mark.ACCEPTED)
        launched = _launched(spec, bootable, record)
        instance = QemuInstance(launched, started, self._places, timeline)
        return await self._hold(instance, instance.created())

    async def restore(self, spec: LaunchSpec, timeline: Timeline) -> Clone:
        """Start a VM from what was saved, until it runs. Raises ``LaunchFailed`` likewise."""
        bootable = bootable_of(spec.prepared)
        saved = bootable.saved
        if saved is None:
            raise TypeError("nothing was saved that this could be restored from")
        record = self._record(spec)
        with _opened(saved.state) as state:
            shape = partial(clone, saved=saved)
            started = await self._begin(spec, bootable, record, shape, state)
            timeline.mark(Mark.ACCEPTED)
            launched = _launched(spec, bootable, record)
            instance = Clone(launched, started, self._places, timeline, state)
        return await self._hold(instance, instance.restored(saved))

    async def _hold(self, instance: V, existing: Awaitable[None]) -> V:
        """The instance, once it exists; nothing of it where it never does."""
        self._held.add(instance)
        try:
            await existing
        except BaseException:
            await instance.destroy()
            raise
        return instance

    def _record(self, spec: LaunchSpec) -> Record:
        return Record(spec.instance_id, spec.scope.run_id, self._own_groups(spec))

    async def _begin(
        self,
        spec: LaunchSpec,
        bootable: Bootable,
        record: Record,
        shape: Shape,
        *inherited: int,
    ) -> Started:
        """Start the VMM of the machine that ``shape`` makes of the profile's. Raises
        ``LaunchFailed`` with nothing left of it."""
        try:
            return self._start(spec, bootable, record, shape, inherited)
        except OSError as error:
            await remove_remains(self._places, record)
            raise LaunchFailed(f"the VMM could not be started: {error}") from error

    def _start(
        self,
        spec: LaunchSpec,
        bootable: Bootable,
        record: Record,
        shape: Shape,
        inherited: Sequence[int],
    ) -> Started:
        """Write the record, make the cgroups, start the VMM. Raises ``OSError``."""
        folder = self._places.write(record)
        cgroups.make(record.cgroups)
        drives = tuple(
            Path(shutil.copyfile(empty, folder / name)) for name, empty in bootable.overlays.items()
        )
        if bootable.saved is not None:  # a clone has its template's name
            spec = replace(spec, instance_id=bootable.saved.template)
        machine = self._profile.machine(spec, bootable, drives)
        return start(
            shape(machine),
            self.process_name(record.instance_id),
            lifetime_seconds=spec.lifetime_seconds,
            cgroup_folders=record.cgroups.values(),
            stderr=folder / "stderr",
            inherited=inherited,
        )

    def process_name(self, instance_id: str) -> str:
        """The name of a VM's process; of all of them, how it begins, for an empty id."""
        return process_name(self._agent_id, self._profile.name, instance_id)

    def _own_groups(self, spec: LaunchSpec) -> dict[str, Path]:
        name = f"tonnage-{self._agent_id}-{spec.instance_id}"
        parent = spec.cgroup_parent
        parents = cgroups.below(self._groups, parent.folder if parent is not None else None)
        return {key: folder / name for key, folder in parents.items()}


def _launched(spec: LaunchSpec, bootable: Bootable, record: Record) -> Launched:
    readiness = spec.target.workload.readiness
    return Launched(
        record=record,
        guest_ram_bytes=spec.target.memory_bytes,
        workload_line=bootable.workload_line,
        ready_line=readiness.line if isinstance(readiness, LogReadiness) else "",
        readiness=readiness,
        health=spec.target.workload.health,
        address=own_address(spec.instance_id) if spec.target.network is Network.USER else None,
        draws=bootable.draws,
        workload_mark=bootable.workload_mark,
    )


def bootable_of(prepared: Prepared) -> Bootable:
    """What the profile made of an image."""
    if not isinstance(prepared.payload, Bootable):
        raise TypeError(f"prepared by another runtime: {prepared.payload!r}")
    return prepared.payload


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The file open for reading. Raises ``LaunchFailed`` if it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise LaunchFailed(f"the snapshot is gone: {error}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
