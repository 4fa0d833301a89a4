"""One container of containerd's, from its launch to the proof that nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.clock import Mark, Timeline
from agent.errors import InstanceExited, InstanceLeaked, NoAnswer, RuntimeUnavailable
from agent.process import ProcessView
from agent.runtimes.console import Console, ConsoleEnded
from agent.runtimes.containerd import removal, shims
from agent.runtimes.containerd.client import Client
from agent.runtimes.pipe import ConsolePipe
from agent.runtimes.places import Place
from agent.runtimes.process_end import on_process_end, process_end
from agent.runtimes.readiness import conversation, healthy
from agent.runtimes.records import InstanceFolders
from tonnage.model import Workload

EXIT_SECONDS = 10.0
SOON_SECONDS = 0.2
GONE_SECONDS = 10.0
_GONE_RETRY_SECONDS = 0.005
_KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Known:
    """What the runtime knows of a container. ``place`` is ``None`` where no process of it
    was found, ``workload`` where an earlier object launched it."""

    instance_id: str
    name: str
    place: Place | None
    paths: tuple[Path, ...] = ()
    workload: Workload | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What a launch left in our hands: the console, and the awaited line in it."""

    console: Console = field(default_factory=Console)
    pipe: ConsolePipe | None = None
    line: asyncio.Future[int] | None = None


class ContainerdInstance:
    """A container. Its processes are watched without containerd, which is under measurement."""

    def __init__(
        self,
        known: Known,
        held: Held,
        client: Client,
        folders: InstanceFolders,
        timeline: Timeline,
    ) -> None:
        self._known = known
        self._held = held
        self._client = client
        self._folders = folders
        self._timeline = timeline
        self._ending = ""
        self._removal = asyncio.Lock()
        self._removed = False

    @property
    def id(self) -> str:
        return self._known.instance_id

    async def ready(self) -> None:
        if self._held.line is None:
            raise InstanceExited("a recovered container's console is lost")
        try:
            at_monotonic_ns = await asyncio.shield(self._held.line)
        except ConsoleEnded:
            raise await self._exited() from None
        self._timeline.mark(Mark.READY, at_monotonic_ns)

    async def _exited(self) -> InstanceExited:
        """Wait for the end of a container whose console has closed, and tell of it.

        A workload may close its output and live on: then its first process is waited for.
        """
        if self._known.place is not None:
            await process_end(self._known.place.init)
        self._timeline.mark(Mark.STOPPED)
        with contextlib.suppress(RuntimeUnavailable):
            status = await removal.exit_status(self._client, self._known.name, EXIT_SECONDS)
            self._ending = ending(status)
        return InstanceExited(
            f"the container ended before it was ready, {self._ending or 'and is gone'}",
            evidence=self.evidence(),
        )

    def evidence(self) -> str:
        workload, console = self._known.workload, self._held.console
        command = " ".join(workload.command) if workload is not None else ""
        facts = [
            f"container {self._known.name}",
            f"command {command}" if command else "command of the image",
            self._ending or ("console closed" if console.ended else "console open"),
        ]
        return "\n".join(["; ".join(facts), console.tail() or "(nothing on its console)"])

    def processes(self) -> ProcessView:
        place = self._known.place
        return place.view(self._known.paths) if place is not None else ProcessView(())

    def cpu_ns(self) -> int | None:
        return self._known.place.cpu_ns() if self._known.place is not None else None

    async def alive(self) -> bool:
        place = self._known.place
        return not self._removed and place is not None and place.init.alive()

    async def answers(self) -> bool:
        if not await self.alive() or self._held.pipe is None:
            return False
        health = self._known.workload.health if self._known.workload is not None else None
        return await healthy(
            health, console=self._held.console, send=self._held.pipe.send, address=None
        )

    async def ask(self, line: str, until: str, timeout_seconds: float) -> str:
        console, pipe = self._held.console, self._held.pipe
        if pipe is None:
            raise NoAnswer("a recovered container's console is lost")
        return await conversation(line, until, timeout_seconds, console=console, send=pipe.send)

    async def stop(self, grace_seconds: float) -> None:
        place, name = self._known.place, self._known.name
        with self._marking_stopped():
            if place is not None and place.init.alive() and grace_seconds > 0:
                await removal.send(self._client, name, signal.SIGTERM, to_all=False)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(grace_seconds):
                        await process_end(place.init)
            await removal.send(self._client, name, signal.SIGKILL, to_all=True)
            await removal.exit_status(self._client, name, EXIT_SECONDS)
        self._timeline.mark(Mark.STOPPED)

    async def destroy(self) -> None:
        async with self._removal:
            if self._removed:
                return
            with self._marking_stopped():
                await removal.remove(self._client, self._known.name, self.id)
            self.let_go()
            await self._verify_gone()
            self._timeline.mark(Mark.STOPPED)
            self._timeline.mark(Mark.DESTROYED)
            self._removed = True

    def let_go(self) -> None:
        """Close the console; the container is not touched. Idempotent."""
        if self._held.pipe is not None:
            self._held.pipe.close()
        self._held.console.end()

    async def _verify_gone(self) -> None:
        """No process of it lives, and no file: containerd collects those of a snapshot that
        was removed in its own time, which is mostly soon, and else is asked for."""
        await asyncio.to_thread(self._folders.forget, self.id)
        if self._known.place is None and (left := await shims.end(self._known.name)):
            raise self._leaked(left)
        left = await self._left_after(SOON_SECONDS)
        if left:
            with contextlib.suppress(RuntimeUnavailable):
                await removal.collect(self._client)
            left = await self._left_after(GONE_SECONDS)
        if left:
            raise self._leaked(left)

    def _leaked(self, left: Sequence[str]) -> InstanceLeaked:
        return InstanceLeaked(
            f"{', '.join(left)} survived the removal",
            value=self.id,
            remedy="Look at it with ps and ctr; tonnage clean tries again.",
        )

    async def _left_after(self, seconds: float) -> list[str]:
        """What is still there of it; empty as soon as nothing is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._left():  # noqa: ASYNC110 (no event tells it all)
                    await asyncio.sleep(_GONE_RETRY_SECONDS)
        return self._left()

    def _left(self) -> list[str]:
        place = self._known.place
        processes = place.survivors() if place is not None else []
        return [*processes, *(str(path) for path in self._known.paths if path.exists())]

    @contextmanager
    def _marking_stopped(self) -> Iterator[None]:
        """Mark ``stopped`` at the very end of the first process, if it is seen."""
        if self._known.place is None:
            yield
            return
        with on_process_end(self._known.place.init) as end:
            end.add_done_callback(self._mark_stopped)
            yield

    def _mark_stopped(self, end: asyncio.Future[None]) -> None:
        if not end.cancelled():
            self._timeline.mark(Mark.STOPPED)


def ending(status: int | None) -> str:
    """How a container ended, in words; empty where it is not known."""
    if status is None:
        return ""
    told = f"with exit code {status}"
    return f"{told}, killed, perhaps for want of memory" if status == _KILLED else told
