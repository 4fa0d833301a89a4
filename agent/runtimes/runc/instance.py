"""One container of runc's, from its launch to the proof that nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from dataclasses import dataclass

from agent import process
from agent.clock import Mark, Timeline
from agent.errors import InstanceExited
from agent.process import Identity, ProcessView
from agent.runtimes.console import Console, ConsoleEnded
from agent.runtimes.killing import identities, kill, send
from agent.runtimes.pipe import ConsolePipe
from agent.runtimes.places import Place, Places
from agent.runtimes.readiness import conversation, healthy
from agent.runtimes.runc.keeper import Kept
from agent.runtimes.runc.remains import Remains
from tonnage.model import Health

_REAPING_SECONDS = 5.0  # from the end of the container to the end of its keepers


@dataclass(frozen=True, slots=True)
class Launched:
    """What the runtime knows of a container that it just started."""

    remains: Remains
    command: tuple[str, ...]
    ready_line: str
    health: Health | None


class RuncInstance:
    """One container of this agent's launching. Must be made on the event loop."""

    def __init__(self, launched: Launched, kept: Kept, timeline: Timeline) -> None:
        self._launched = launched
        self._remains = launched.remains
        self._folder = launched.remains.bundles.folder(self.id)
        self._child = kept.child
        self._timeline = timeline
        self._console = Console()
        self._pipe = ConsolePipe(self._console, kept.console, kept.console)
        self._line = self._console.watch(launched.ready_line)
        self._first_byte = self._console.watch("")
        self._place: Place | None = None
        self._keepers = identities((kept.child.popen.pid,))
        self._removing = asyncio.Lock()
        self._removed = False
        self._child.when_ended(self.let_go)

    @property
    def id(self) -> str:
        return self._launched.remains.record.instance_id

    async def created(self, pid_written: asyncio.Future[int]) -> None:
        """Wait for the first sign of the container's first process and mark ``created``:
        its pid, or what it printed. Raises ``InstanceExited``."""
        signs = (pid_written, self._first_byte)
        end = asyncio.ensure_future(self._console.wait_ended())
        try:
            await asyncio.wait((*signs, end), return_when=asyncio.FIRST_COMPLETED)
            if not self._exists():  # so what came was runc's own word
                signs = (pid_written, pid_written)
                await asyncio.wait((pid_written, end), return_when=asyncio.FIRST_COMPLETED)
        finally:
            end.cancel()
        if not self._exists():
            raise await self._exited()
        seen = [one.result() for one in signs if one.done() and one.exception() is None]
        self._timeline.mark(Mark.CREATED, min(seen, default=None))

    def _exists(self) -> bool:
        """Whether runc has made the container, though it may have ended since."""
        remains = self._remains
        state = remains.bundles.state / remains.container / "state.json"
        return state.exists() or (self._folder / "pid").exists()

    async def ready(self) -> None:
        try:
            at_monotonic_ns = await asyncio.shield(self._line)
        except ConsoleEnded:
            raise await self._exited() from None
        self._timeline.mark(Mark.READY, at_monotonic_ns)

    def evidence(self) -> str:
        parts = (
            ("console", self._console.tail() or "(nothing)"),
            ("state", self._state()),
            ("command", shlex.join(self._launched.command)),
        )
        return "\n".join(f"{title}:\n{text}" for title, text in parts)

    def processes(self) -> ProcessView:
        place = self._located()
        inside = place.pids() if place is not None else ()
        pids = (*inside, *self._living_keepers())
        if not pids:
            return ProcessView(pids=())
        groups = dict(place.cgroups) if place is not None else {}
        return ProcessView(pids=pids, cgroups=groups, paths=(self._folder,))

    def cpu_ns(self) -> int | None:
        place = self._located()
        inside = place.cpu_ns() if place is not None else None
        if inside is None:
            return None
        return inside + sum(process.cpu_ns(pid) or 0 for pid in self._living_keepers())

    async def alive(self) -> bool:
        place = self._located()
        return not self._child.ended if place is None else place.init.alive()

    async def answers(self) -> bool:
        if not await self.alive():
            return False
        health = self._launched.health
        return await healthy(health, console=self._console, send=self._pipe.send, address=None)

    async def ask(self, line: str, until: str, timeout_seconds: float) -> str:
        console, send = self._console, self._pipe.send
        return await conversation(line, until, timeout_seconds, console=console, send=send)

    async def stop(self, grace_seconds: float) -> None:
        place = self._located()
        if place is not None and grace_seconds > 0 and send(place.init, signal.SIGTERM):
            await self._ended_within(grace_seconds)
        await self._kill()

    async def destroy(self) -> None:
        async with self._removing:
            if self._removed:
                return
            await self._kill()
            self.let_go()
            await self._remains.remove()
            self._removed = True
            self._timeline.mark(Mark.DESTROYED)

    def let_go(self) -> None:
        """Close the console; the container is not touched. Idempotent."""
        self._pipe.close()

    async def _kill(self) -> None:
        """End all of its processes. Raises ``InstanceLeaked``.

        Once the container has ended, runc takes away what it made, tells the exit code and
        ends, and its keepers with it: they are killed only if that does not happen.
        """
        place = self._located()
        if place is not None:
            await kill(identities(place.members()) or (place.init,))
            self._timeline.mark(Mark.STOPPED)
            await self._ended_within(_REAPING_SECONDS)
        if not self._child.ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.popen.pid, signal.SIGKILL)
        if not self._child.ended or self._remains.members():  # of a place never learnt, too
            await self._remains.kill()
        self._timeline.mark(Mark.STOPPED)

    async def _ended_within(self, seconds: float) -> None:
        """Wait for the end of the keeper, no longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._child.wait()

    async def _exited(self) -> InstanceExited:
        """The error of a container that ended, or is about to: its console is closed."""
        await self._ended_within(_REAPING_SECONDS)
        self._timeline.mark(Mark.STOPPED)
        return InstanceExited(
            f"the container ended before it was ready: {self._state()}", evidence=self.evidence()
        )

    def _state(self) -> str:
        """How the container stands, in words."""
        if not self._child.ended:
            return "it runs"
        status = self._child.exit_status
        if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return "it was killed, by its deadline, for want of memory, or from outside"
        return f"it exited with code {status}"

    def _located(self) -> Place | None:
        """Its processes and cgroups, from the pid that runc noted; remembered."""
        if self._place is None and not self._child.ended:
            pid = self._remains.first_process()
            if pid is not None:
                self._place = Places().learn(self._remains.container, pid)
                self._keepers = self._find_keepers()
        return self._place

    def _find_keepers(self) -> tuple[Identity, ...]:
        """``sh`` and ``timeout``; runc, the container's parent, is told with the container."""
        shell = self._child.popen.pid
        return identities((shell, *process.children(shell)))

    def _living_keepers(self) -> tuple[int, ...]:
        return tuple(keeper.pid for keeper in self._keepers if keeper.alive())
