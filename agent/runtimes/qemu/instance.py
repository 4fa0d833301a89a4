"""One VM, from its launch to the proof that nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from agent.clock import Mark, Timeline
from agent.errors import InstanceExited
from agent.process import ProcessView, cpu_ns
from agent.runtimes import cgroups
from agent.runtimes.console import Console, ConsoleEnded
from agent.runtimes.qemu import migration, monitor
from agent.runtimes.qemu.boot import BootConsole
from agent.runtimes.qemu.guest import EXIT_LINE
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.removal import check_gone, remove_remains
from agent.runtimes.qemu.screen import Screen
from agent.runtimes.qemu.starting import Started
from agent.runtimes.readiness import conversation, healthy, network_ready
from agent.runtimes.records import Record
from tonnage.model import Health, HttpReadiness, Readiness

_READ_BYTES = 1 << 16
_STDERR_BYTES = 4096
_REAPING_SECONDS = 1.0  # from the end of the console to the end of the process
_EXIT = re.compile(rf"^{EXIT_LINE} (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Launched:
    """What the runtime knows of a VM that it just started."""

    record: Record
    guest_ram_bytes: int
    workload_line: str
    ready_line: str
    readiness: Readiness
    health: Health | None
    address: str | None = None
    draws: bool = False
    workload_mark: Mark | None = None


class QemuInstance:
    """One VM of this agent's launching. Must be made on the event loop."""

    def __init__(
        self,
        launched: Launched,
        started: Started,
        places: Places,
        timeline: Timeline,
    ) -> None:
        self._launched = launched
        self._process = started.process
        self._plug = started.plug
        self._command = started.command
        self._places = places
        self._timeline = timeline
        self._console = Console()
        self._screen = Screen() if launched.draws else None
        self._boot = BootConsole(
            self._console,
            timeline,
            workload_line=launched.workload_line,
            ready_line=launched.ready_line,
            workload_mark=launched.workload_mark,
        )
        self._removing = asyncio.Lock()
        self._removed = False
        self._said = ""
        self._process.when_ended(self.let_go)
        asyncio.get_running_loop().add_reader(self._plug.console, self._read_console)

    @property
    def id(self) -> str:
        return self._launched.record.instance_id

    async def created(self) -> None:
        """Wait for the VMM's first answer and mark ``created``. Raises ``InstanceExited``."""
        if not await monitor.greeted(self._plug.monitor):
            raise await self._exited("QEMU ended before the VM existed")
        self._timeline.mark(Mark.CREATED)
        self._process.vmm()  # known from here on, even if its keeper is killed

    async def ready(self) -> None:
        condition = self._launched.readiness
        if isinstance(condition, HttpReadiness):
            at_monotonic_ns = await self._ready_over_network(condition)
        else:
            at_monotonic_ns = await self._ready_line()
        if at_monotonic_ns is None:
            raise await self._exited("the VM ended before it was ready")
        self._timeline.mark(Mark.READY, at_monotonic_ns)

    async def _ready_line(self) -> int | None:
        """The instant of the workload's line; ``None`` if the VM ends first."""
        with contextlib.suppress(ConsoleEnded):
            return await self._boot.ready_at()
        return None

    async def _ready_over_network(self, condition: HttpReadiness) -> int | None:
        """The instant of the workload's answer; ``None`` if the VM ends first.

        Nobody tries before the guest says that its card is up and its workload begins: until
        then a connection would only hang in the forwarder.
        """
        address = self._launched.address
        if not await self._boot.begun() or address is None:
            return None
        answer = asyncio.ensure_future(network_ready(condition, address))
        end = asyncio.ensure_future(self._console.wait_ended())
        try:
            await asyncio.wait((answer, end), return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()
            end.cancel()

    def evidence(self) -> str:
        parts = (
            ("console", self._console.tail() or "(nothing)"),
            ("QEMU says", self._said or self._vmm_says()),
            ("state", self._state()),
            ("command", shlex.join(self._command)),
        )
        return "\n".join(f"{title}:\n{text}" for title, text in parts if text)

    def processes(self) -> ProcessView:
        pids, vmm = self._process.pids(), self._process.vmm()
        if not pids:
            return ProcessView(pids=())
        return ProcessView(
            pids=pids,
            cgroups=dict(self._launched.record.cgroups),
            vmm_pid=vmm.pid if vmm is not None else None,
            guest_ram_bytes=self._launched.guest_ram_bytes,
            paths=(self._places.folder(self.id),),
        )

    def cpu_ns(self) -> int | None:
        charged = cgroups.cpu_ns(self._launched.record.cgroups)
        if charged is not None:
            return charged
        used = [cpu_ns(pid) for pid in self._process.pids()]
        return sum(ns for ns in used if ns is not None) if used else None

    async def alive(self) -> bool:
        return not self._process.ended

    async def answers(self) -> bool:
        if self._process.ended:
            return False
        health = self._launched.health
        return await healthy(
            health, console=self._console, send=self._send, address=self._launched.address
        )

    async def ask(self, line: str, until: str, timeout_seconds: float) -> str:
        console, send = self._console, self._send
        return await conversation(line, until, timeout_seconds, console=console, send=send)

    async def save(self, state: int, *, ignore_shared: bool) -> None:
        """Stop the VM and save its state; only ``leave`` or ``destroy`` may follow.
        Raises ``MigrationFailed``."""
        await migration.save(self._plug.monitor, state, ignore_shared=ignore_shared)

    async def leave(self) -> None:
        """End its processes and keep its files: they outlive it until somebody recovers
        and destroys it. Raises ``InstanceLeaked``."""
        await self._kill()
        self.let_go()
        await asyncio.to_thread(cgroups.remove, self._launched.record.cgroups)

    async def stop(self, grace_seconds: float) -> None:
        if not self._process.ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(grace_seconds, 0.0)):
                    await self._quit()
                    await self._process.wait()
            await self._kill()
        self._timeline.mark(Mark.STOPPED)

    async def _quit(self) -> None:
        await monitor.quit_vmm(self._plug.monitor)

    async def destroy(self) -> None:
        async with self._removing:
            if self._removed:
                return
            await self._kill()
            self._timeline.mark(Mark.STOPPED)
            self.let_go()
            self._said = self._vmm_says()
            await remove_remains(self._places, self._launched.record)
            self._removed = True
            self._timeline.mark(Mark.DESTROYED)

    async def _kill(self) -> None:
        """End all of its processes. Raises ``InstanceLeaked``."""
        check_gone(self.id, await self._process.kill())

    async def _exited(self, message: str) -> InstanceExited:
        """The error of a VM that ended, or is about to: its console is closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REAPING_SECONDS):
                await self._process.wait()
        return InstanceExited(f"{message}: {self._state()}", evidence=self.evidence())

    def _state(self) -> str:
        """How the VM stands, in words."""
        if not self._process.ended:
            return "QEMU runs"
        guest = _EXIT.search(self._console.tail())
        status = self._process.exit_status
        if guest is not None:
            return f"the workload exited with code {guest[1]}"
        if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return "QEMU was killed, by its deadline or from outside"
        if status == 0:
            return "the guest reset itself (QEMU exited with status 0)"
        return f"QEMU exited with status {status}"

    def _vmm_says(self) -> str:
        return _tail(self._places.folder(self.id) / "stderr")

    async def _send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._plug.console, data)

    def let_go(self) -> None:
        """Read what is left of the console and close both sockets; the VM is not touched.
        Idempotent."""
        if self._plug.console.fileno() >= 0:
            while self._read_console():
                pass
            self._end_console()
        self._plug.close()

    def _read_console(self) -> bool:
        """Read one chunk; whether there was one."""
        try:
            data = self._plug.console.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        at_monotonic_ns = time.monotonic_ns()
        if data:
            text = self._screen.text(data) if self._screen is not None else data
            self._boot.feed(text, at_monotonic_ns)
        else:
            self._end_console()
        return bool(data)

    def _end_console(self) -> None:
        asyncio.get_running_loop().remove_reader(self._plug.console)
        self._boot.end()


def _tail(path: Path) -> str:
    try:
        return path.read_bytes()[-_STDERR_BYTES:].decode("utf-8", "replace").strip()
    except OSError:
        return ""
