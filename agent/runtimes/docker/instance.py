"""One container."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from agent.clock import Mark, Timeline
from agent.errors import InstanceExited, InstanceLeaked, RuntimeUnavailable
from agent.process import Identity, ProcessView
from agent.runtimes.console import Console, ConsoleEnded
from agent.runtimes.docker import orphans
from agent.runtimes.docker.details import Details, ending
from agent.runtimes.docker.engine import Engine
from agent.runtimes.docker.stream import ConsoleStream
from agent.runtimes.places import Place, Places
from agent.runtimes.process_end import on_process_end, process_end
from agent.runtimes.readiness import conversation, healthy, network_ready
from tonnage.model import HttpReadiness, LogReadiness, TcpReadiness, Workload

EXIT_SECONDS = 2
GONE_SECONDS = 5.0
_GONE_RETRY_SECONDS = 0.002


class DockerInstance:
    """A container that this agent created, or found again by its name."""

    def __init__(
        self,
        instance_id: str,
        container_id: str,
        engine: Engine,
        places: Places,
        timeline: Timeline,
        console: Console,
        stream: ConsoleStream,
        workload: Workload | None,
        line: asyncio.Future[int] | None = None,
    ) -> None:
        self._id = instance_id
        self._container_id = container_id
        self._engine = engine
        self._places = places
        self._timeline = timeline
        self._console = console
        self._stream = stream
        self._workload = workload
        self._line = line
        self._place: Place | None = None
        self._details: Details | None = None
        self._ending = ""
        self._removal = asyncio.Lock()
        self._removed = False

    @property
    def id(self) -> str:
        return self._id

    async def ready(self) -> None:
        condition = self._workload.readiness if self._workload else None
        if isinstance(condition, LogReadiness) and self._line is not None:
            at_monotonic_ns = await self._ready_line(self._line)
        elif isinstance(condition, (TcpReadiness, HttpReadiness)):
            at_monotonic_ns = await self._ready_network(condition)
        else:
            raise InstanceExited("a recovered container has no ready condition")
        self._timeline.mark(Mark.READY, at_monotonic_ns)
        with contextlib.suppress(RuntimeUnavailable):  # it is ready, whatever the engine does now
            await self._locate()

    async def _ready_line(self, line: asyncio.Future[int]) -> int:
        try:
            return await asyncio.shield(line)
        except ConsoleEnded:
            await self._exited()
            raise self._exit_error() from None

    async def _ready_network(self, condition: TcpReadiness | HttpReadiness) -> int:
        """The workload's first answer, unless the container ends before it."""
        details = await self._ask()
        if details is None or details.address is None:
            await self._exited()
            raise self._exit_error()
        answer = asyncio.ensure_future(network_ready(condition, details.address))
        end = asyncio.ensure_future(self._ended())
        try:
            await asyncio.wait((answer, end), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            await end
            raise self._exit_error()
        finally:
            answer.cancel()
            end.cancel()

    async def _ended(self) -> None:
        await self._console.wait_ended()
        await self._exited()

    async def _exited(self) -> None:
        """Wait for the container's end, whose console has closed, and note how it ended.

        A workload may close its output and live on: then its first process is
        waited for, without asking the engine again and again.
        """
        while not await self._engine.wait_exit(self._container_id, EXIT_SECONDS):
            place = await self._locate()
            if place is not None:
                await process_end(place.init)
        self._timeline.mark(Mark.STOPPED)
        self._ending = ending(await self._engine.inspect(self._container_id))

    def _exit_error(self) -> InstanceExited:
        return InstanceExited(
            f"the container ended before it was ready, {self._ending or 'and is gone'}",
            evidence=self.evidence(),
        )

    def evidence(self) -> str:
        command = " ".join(self._workload.command) if self._workload else ""
        facts = [
            f"container {self._container_id[:12]}",
            f"command {command}" if command else "command of the image",
            self._ending or ("console closed" if self._console.ended else "console open"),
        ]
        tail = self._console.tail()
        return "\n".join(["; ".join(facts), tail or "(nothing on its console)"])

    def processes(self) -> ProcessView:
        if self._place is None:
            self._place = self._places.find(self._container_id)
        if self._place is None:
            return ProcessView(())
        return self._place.view(self._details.paths if self._details else ())

    def cpu_ns(self) -> int | None:
        return self._place.cpu_ns() if self._place is not None else None

    async def alive(self) -> bool:
        """Asks the engine the first time only, for the paths that the probes want."""
        if self._removed:
            return False
        if self._details is None:
            await self._ask()
        place = await self._locate()
        return place is not None and place.init.alive()

    async def answers(self) -> bool:
        if not await self.alive():
            return False
        return await healthy(
            self._workload.health if self._workload else None,
            console=self._console,
            send=self._stream.send,
            address=self._details.address if self._details else None,
        )

    async def ask(self, line: str, until: str, timeout_seconds: float) -> str:
        send = self._stream.send
        return await conversation(line, until, timeout_seconds, console=self._console, send=send)

    async def stop(self, grace_seconds: float) -> None:
        place = await self._locate()
        with self._marking_stopped(place):
            await self._engine.stop(self._container_id, math.ceil(grace_seconds))
        self._timeline.mark(Mark.STOPPED)

    async def destroy(self) -> None:
        async with self._removal:
            if self._removed:
                return
            place = await self._locate()
            family = place.family() if place is not None else ()
            with self._marking_stopped(place):
                await self._engine.remove(self._container_id, self._id)
            self._stream.close()
            await self._verify_gone(place, family)
            self._timeline.mark(Mark.STOPPED)
            self._timeline.mark(Mark.DESTROYED)
            self._removed = True

    async def _verify_gone(self, place: Place | None, family: Sequence[Identity]) -> None:
        """No process of it lives; that the engine knows it no more, its removal has shown."""
        left = await _survivors(place, family) if place is not None else ()
        if place is None or left:
            left = await orphans.end(self._container_id)
        if not left and place is not None:
            left = place.survivors(family)
        if left:
            raise InstanceLeaked(
                f"{', '.join(left)} survived the removal",
                value=self._id,
                remedy="Look at it with ps and docker ps -a; tonnage clean tries again.",
            )

    async def _locate(self) -> Place | None:
        """Its place, from the kernel where the pattern is known, else from the engine once."""
        if self._place is None:
            self._place = self._places.find(self._container_id)
        if self._place is None:
            details = await self._ask()
            if details is not None and details.init_pid:
                self._place = self._places.learn(self._container_id, details.init_pid)
        return self._place

    async def _ask(self) -> Details | None:
        """Ask the engine now; ``None`` if it has no such container."""
        inspection = await self._engine.inspect(self._container_id)
        self._details = Details.of(inspection) if inspection is not None else self._details
        return None if inspection is None else self._details

    @contextmanager
    def _marking_stopped(self, place: Place | None) -> Iterator[None]:
        """Mark ``stopped`` at the very end of the first process, if it is seen."""
        if place is None:
            yield
            return
        with on_process_end(place.init) as end:
            end.add_done_callback(self._mark_stopped)
            yield

    def _mark_stopped(self, end: asyncio.Future[None]) -> None:
        if not end.cancelled():
            self._timeline.mark(Mark.STOPPED)


async def _survivors(place: Place, family: Sequence[Identity]) -> Sequence[str]:
    """Who of a removed container still lives, after some patience."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GONE_SECONDS):
            while place.survivors(family):  # noqa: ASYNC110 (no event tells it all)
                await asyncio.sleep(_GONE_RETRY_SECONDS)
    return place.survivors(family)
