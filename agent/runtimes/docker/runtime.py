"""The docker runtime, and every other one whose engine speaks the same API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agent.clock import Mark, Timeline
from agent.errors import TonnageError
from agent.runtimes.base import Capabilities, Instance, LaunchSpec, Prepared, Scope
from agent.runtimes.console import Console
from agent.runtimes.docker import orphans
from agent.runtimes.docker.config import (
    LABEL_AGENT,
    LABEL_INSTANCE,
    container_config,
    container_name,
    label_filter,
    needs_stdin,
)
from agent.runtimes.docker.daemons import Daemons, engine_pid
from agent.runtimes.docker.engine import Engine, Inspection, engine_failed
from agent.runtimes.docker.executed import executed
from agent.runtimes.docker.health import fingerprint
from agent.runtimes.docker.instance import DockerInstance
from agent.runtimes.docker.limits import Ulimit, engine_limits
from agent.runtimes.docker.loading import Loading
from agent.runtimes.docker.order import Order
from agent.runtimes.docker.profile import EngineProfile
from agent.runtimes.docker.stream import ConsoleStream
from agent.runtimes.places import Places
from agent.runtimes.programs import program_files
from agent.runtimes.reaping import destroy_all
from agent.runtimes.registry import RuntimeSettings, engine_url
from tonnage.model import Fingerprint, LogReadiness, Network, Target, Workload

REMOVALS_AT_ONCE = 4


class DockerRuntime:
    """Containers through one engine."""

    def __init__(self, profile: EngineProfile, settings: RuntimeSettings) -> None:
        self._profile = profile
        self.capabilities = Capabilities(
            networks=(Network.NONE, Network.BRIDGE),
            modes=("warm", "cold"),
            readiness=("log", "tcp", "http"),
            health=("console", "http"),
            takes_parent_group=profile.takes_parent_group,
        )
        self._agent_id = settings.agent_id
        self._url = engine_url(profile.host or settings.docker_host)
        self._socket = Path(self._url.removeprefix("unix://"))
        self._engine = Engine(self._url, profile.name, profile.option)
        self._places = Places()
        self._daemons = Daemons(self._socket, profile.daemon)
        self._limits: list[Ulimit] = []
        self._loading = Loading(self._engine, settings.images_dir)
        self._streams: set[ConsoleStream] = set()
        self._clean_ups: set[asyncio.Task[None]] = set()
        self._vigil = orphans.Vigil()

    @property
    def name(self) -> str:
        return self._profile.name

    async def fingerprint(self) -> Fingerprint:
        return await fingerprint(self._profile, self._engine, self.capabilities)

    async def prepare(self, workload: Workload) -> Prepared:
        """An image that the engine refuses to have is no failure to prepare: its launches
        are refused, each with the engine's words."""
        image = await self._loading.image(workload)
        if image is None:
            return Prepared(workload, self._loading.digest(workload.image))
        if self._profile.names_limits:
            engine = engine_pid(self._socket, self._profile.daemon)
            self._limits = engine_limits(engine or 0)
        return Prepared(workload, str(image["Id"]), paths=_image_layers(image))

    async def launch(self, spec: LaunchSpec, timeline: Timeline) -> Instance:
        await self._loading.ask_again(spec.target.workload.image)
        console = Console()
        readiness = spec.target.workload.readiness
        line = console.watch(readiness.line) if isinstance(readiness, LogReadiness) else None
        order = self._order(spec, timeline, console)
        thread = asyncio.ensure_future(
            self._engine.start(order.carry_out, spec.target.workload.image)
        )
        try:
            await asyncio.shield(thread)
        except BaseException as error:
            order.call_off()
            await self._undo(spec, order, thread, error)
            raise
        return DockerInstance(
            spec.instance_id,
            order.container_id,
            self._engine,
            self._places,
            timeline,
            console,
            order.stream,
            spec.target.workload,
            line,
        )

    def _order(self, spec: LaunchSpec, timeline: Timeline, console: Console) -> Order:
        stream = ConsoleStream(
            console,
            on_first_byte=lambda at: timeline.mark(Mark.CREATED, at),
            on_close=self._streams.discard,
        )
        order = Order(
            name=container_name(spec.instance_id),
            config=container_config(spec, self._profile.low_level, self._limits),
            stdin=needs_stdin(spec.target.workload),
            timeline=timeline,
            stream=stream,
            loop=asyncio.get_running_loop(),
        )
        self._streams.add(stream)
        return order

    async def _undo(
        self, spec: LaunchSpec, order: Order, thread: asyncio.Future[None], error: BaseException
    ) -> None:
        """Remove what an order left, even if this wait is cancelled again.

        What fails here is noted on ``error``; a later ``reap`` finds the rest.
        """
        clean_up = asyncio.ensure_future(self._remove_order(spec, order, thread))
        self._clean_ups.add(clean_up)
        clean_up.add_done_callback(self._clean_ups.discard)
        try:
            await asyncio.shield(clean_up)
        except TonnageError as failure:
            error.add_note(f"And its clean-up failed: {failure}")

    async def _remove_order(
        self, spec: LaunchSpec, order: Order, thread: asyncio.Future[None]
    ) -> None:
        await asyncio.wait([thread])
        failure = None if thread.cancelled() else thread.exception()  # told by the caller
        order.stream.close()
        if order.container_id:
            if engine_failed(failure):
                self._vigil.keep(order.container_id)
            await self._engine.remove(order.container_id, spec.instance_id)
            await orphans.end(order.container_id)
        elif order.unknown and (left := await self.recover(spec.instance_id)) is not None:
            await left.destroy()

    async def recover(self, instance_id: str) -> Instance | None:
        found = await self._engine.inspect(container_name(instance_id))
        if found is None:
            return None
        labels = found["Config"].get("Labels") or {}
        if labels.get(LABEL_AGENT) != self._agent_id:
            return None
        return self._adopt(instance_id, found)

    async def reap(self, scope: Scope) -> Sequence[str]:
        found = await self._engine.containers(label_filter(scope))
        instances = [self._adopt(one["Labels"].get(LABEL_INSTANCE, ""), one) for one in found]
        return await destroy_all(instances, REMOVALS_AT_ONCE)

    def _adopt(self, instance_id: str, found: Inspection) -> DockerInstance:
        """Take hold of a container that an earlier object launched; its console is lost."""
        console = Console()
        stream = ConsoleStream(console)
        stream.close()
        return DockerInstance(
            instance_id,
            found["Id"],
            self._engine,
            self._places,
            Timeline(),
            console,
            stream,
            workload=None,
        )

    def start_files(self, target: Target, prepared: Prepared) -> Sequence[Path]:
        """Layers, shim and low-level runtime. The engine's daemons run already, and have
        mapped what they need of their own files."""
        programs = executed(self._profile, self._engine.info())
        return (*prepared.paths_for(target), *program_files(programs))

    def engine_pids(self) -> Sequence[int]:
        return self._daemons.pids()

    async def close(self) -> None:
        """Finish clean-ups under way, then let go. The containers live on."""
        if self._clean_ups:
            await asyncio.wait(set(self._clean_ups))
        await self._vigil.ended()
        for stream in set(self._streams):
            stream.close()
        await asyncio.to_thread(self._engine.close)


def _image_layers(image: Inspection) -> tuple[Path, ...]:
    """The folders of an image's layers, where the engine's storage has such (overlay2)."""
    data = (image.get("GraphDriver") or {}).get("Data") or {}
    lower = (data.get("LowerDir") or "").split(":")
    return tuple(Path(layer) for layer in (data.get("UpperDir"), *lower) if layer)
