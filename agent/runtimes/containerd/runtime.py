"""The runtime ``containerd``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakSet

from agent.clock import Mark, Timeline
from agent.errors import LaunchFailed, TonnageError
from agent.runtimes import cgroups
from agent.runtimes.base import Capabilities, LaunchSpec, Prepared, Scope
from agent.runtimes.console import Console
from agent.runtimes.containerd import pipes
from agent.runtimes.containerd.address import socket_of
from agent.runtimes.containerd.client import Client
from agent.runtimes.containerd.finding import Finder
from agent.runtimes.containerd.health import fingerprint
from agent.runtimes.containerd.instance import ContainerdInstance, Held, Known
from agent.runtimes.containerd.labels import labels, name_of
from agent.runtimes.containerd.order import Order
from agent.runtimes.containerd.store import Runnable, Store, own_folders
from agent.runtimes.demands import check_target, check_workload
from agent.runtimes.images.finding import ImageFinder
from agent.runtimes.oci import container_spec
from agent.runtimes.peer import listener
from agent.runtimes.pipe import ConsolePipe
from agent.runtimes.places import Places
from agent.runtimes.programs import program_files
from agent.runtimes.reaping import destroy_all
from agent.runtimes.records import InstanceFolders, Record
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import ConsoleHealth, Fingerprint, LogReadiness, Target, Workload

NAME = "containerd"
REMOVALS_AT_ONCE = 4
_PROGRAMS = ("containerd-shim-runc-v2", "runc")


class ContainerdRuntime:
    """Containers through one containerd, in a namespace that all agents share: labels say
    whose they are."""

    capabilities = Capabilities(modes=("warm", "cold"), takes_parent_group=True)

    def __init__(self, settings: RuntimeSettings) -> None:
        state = settings.state_dir.absolute() / NAME
        self._folders = InstanceFolders(state / "instances" / settings.agent_id, "record.json")
        self._client = Client(socket_of(settings.containerd_address))
        self._places = Places()
        self._finder = Finder(settings.agent_id, self._client, self._folders, self._places)
        images = ImageFinder(settings.images_dir, settings.docker_host)
        self._store = Store(self._client, images, state / "scratch")
        self._rules = cgroups.rules()
        self._held: WeakSet[ContainerdInstance] = WeakSet()
        self._clean_ups: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return NAME

    async def fingerprint(self) -> Fingerprint:
        return await fingerprint(NAME, self._client, self.capabilities)

    async def prepare(self, workload: Workload) -> Prepared:
        check_workload(workload, self.capabilities)
        runnable = await self._store.runnable(workload)
        layers = await self._store.layers(runnable.chain)
        return Prepared(workload, runnable.digest, layers, runnable)

    def start_files(self, target: Target, prepared: Prepared) -> Sequence[Path]:
        """Layers, shim and runc. containerd runs already, and has mapped what it needs."""
        return (*prepared.paths_for(target), *program_files(_PROGRAMS))

    async def launch(self, spec: LaunchSpec, timeline: Timeline) -> ContainerdInstance:
        check_target(spec.target, self.capabilities)
        try:
            folder = self._folders.write(Record(spec.instance_id, spec.scope.run_id, {}))
            asked = isinstance(spec.target.workload.health, ConsoleHealth)
            made = pipes.make(folder, asked=asked)
        except OSError as error:
            self._folders.forget(spec.instance_id)
            raise LaunchFailed(f"its console could not be made: {error}") from error
        held = _held(spec, made, timeline)
        order = self._order(spec, made, timeline)
        carried_out = asyncio.ensure_future(order.carry_out(self._client))
        try:
            await asyncio.shield(carried_out)
        except BaseException as error:
            order.call_off()
            await self._undo(spec, order, held, carried_out, error)
            raise
        instance = self._instance(spec, order, held, timeline)
        self._held.add(instance)
        return instance

    def _order(self, spec: LaunchSpec, made: pipes.Pipes, timeline: Timeline) -> Order:
        runnable = spec.prepared.payload
        if not isinstance(runnable, Runnable):
            raise TypeError(f"prepared by another runtime: {runnable!r}")
        name = name_of(spec.instance_id)
        parent = spec.cgroup_parent.path if spec.cgroup_parent is not None else ""
        config = container_spec(
            runnable.process,
            spec.target,
            root="rootfs",
            hostname=spec.instance_id,
            cgroups_path=f"{parent}/{name}",
            rules=self._rules,
        )
        return Order(name, labels(spec), runnable.chain, config, made, timeline)

    def _instance(
        self, spec: LaunchSpec, order: Order, held: Held, timeline: Timeline
    ) -> ContainerdInstance:
        known = Known(
            spec.instance_id,
            order.name,
            self._places.learn(order.name, order.pid) if order.pid else None,
            (*own_folders(order.mounts), self._folders.folder(spec.instance_id)),
            spec.target.workload,
        )
        return ContainerdInstance(known, held, self._client, self._folders, timeline)

    async def _undo(
        self,
        spec: LaunchSpec,
        order: Order,
        held: Held,
        carried_out: asyncio.Future[None],
        error: BaseException,
    ) -> None:
        """Remove what an order left, even if this wait is cancelled again.

        What fails here is noted on ``error``; a later ``reap`` finds the rest.
        """
        clean_up = asyncio.ensure_future(self._remove_order(spec, order, held, carried_out))
        self._clean_ups.add(clean_up)
        clean_up.add_done_callback(self._clean_ups.discard)
        try:
            await asyncio.shield(clean_up)
        except TonnageError as failure:
            error.add_note(f"And its clean-up failed: {failure}")

    async def _remove_order(
        self, spec: LaunchSpec, order: Order, held: Held, carried_out: asyncio.Future[None]
    ) -> None:
        """Once the order has ended: what of that name is there may be another agent's, unless
        it was this order that made it."""
        await asyncio.wait([carried_out])
        carried_out.cancelled() or carried_out.exception()  # it is told by the caller
        begun = self._instance(spec, order, held, Timeline())
        begun.let_go()
        left = begun if order.mounts else await self._finder.find(spec.instance_id)
        if left is not None:
            await left.destroy()
        await asyncio.to_thread(self._folders.forget, spec.instance_id)

    async def recover(self, instance_id: str) -> ContainerdInstance | None:
        return await self._finder.find(instance_id)

    async def reap(self, scope: Scope) -> Sequence[str]:
        return await destroy_all(await self._finder.all_of(scope), REMOVALS_AT_ONCE)

    def engine_pids(self) -> Sequence[int]:
        """containerd; its shims belong to their instances."""
        pid = listener(self._client.path)
        return (pid,) if pid is not None and pid > 1 else ()

    async def close(self) -> None:
        """Finish clean-ups under way, then let go. The containers live on."""
        if self._clean_ups:
            await asyncio.wait(set(self._clean_ups))
        for instance in tuple(self._held):
            instance.let_go()
        await self._client.close()


def _held(spec: LaunchSpec, made: pipes.Pipes, timeline: Timeline) -> Held:
    readiness = spec.target.workload.readiness
    if not isinstance(readiness, LogReadiness):
        raise TypeError(f"refused beforehand: {readiness!r}")
    console = Console()
    line = console.watch(readiness.line)
    pipe = ConsolePipe(console, made.out, made.into, lambda at: timeline.mark(Mark.CREATED, at))
    return Held(console, pipe, line)
