"""A server as a process that may be killed, stopped and started again."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 90.0
_LAST_LINES = 15

Arguments = Callable[[], Sequence[str]]
# Waits until a process serves; where it does, or nothing when it ends instead.
Serving = Callable[[Process], Awaitable[Mapping[str, str]]]


class ProgramFailed(Exception):
    """A server did not come up, or did not end as asked; the message has its last words."""


async def announced(process: Process) -> Mapping[str, str]:
    """What the servers of Tonnage say once they serve, in a line."""
    assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
    line = await process.stdout.readline()
    return dict(json.loads(line)) if line else {}


class Program:
    """One server: a command with the arguments of the moment it is started.

    ``where`` is what ``serving`` found when it last began to serve.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        arguments: Arguments,
        log: Path,
        serving: Serving = announced,
    ) -> None:
        self.name = name
        self.where: Mapping[str, str] = {}
        self._command = command
        self._arguments = arguments
        self._log = log
        self._serving = serving
        self._process: Process | None = None
        self._served = False

    @property
    def fell(self) -> bool:
        """Whether it served, and ended otherwise than by ``stop``."""
        return self._served and (self._process is None or self._process.returncode is not None)

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        return self._running().pid

    async def start(self) -> None:
        """Start it and wait until it serves. Raises ``ProgramFailed``."""
        if self._process is not None:
            raise ProgramFailed(f"{self.name} runs already")
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self._command, *self._arguments(), stdout=PIPE, stderr=log, start_new_session=True
            )
        self._process = process
        try:
            self.where = await self._until_it_serves(process)
        except BaseException:
            await self.kill()
            raise
        self._served = True

    async def _until_it_serves(self, process: Process) -> Mapping[str, str]:
        try:
            async with asyncio.timeout(START_SECONDS):
                if where := await self._serving(process):
                    return where
                code = await process.wait()
        except TimeoutError as error:
            raise self._failed(f"did not serve within {START_SECONDS:g} s") from error
        raise self._failed(f"ended with {code} before it served")

    async def kill(self) -> None:
        """End it as a power cut would. Nothing happens to one that does not run."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end, and wait. Raises ``ProgramFailed`` unless it ends with 0."""
        self._served = False
        if self._process is not None and (code := await self._end(signal.SIGTERM)) != 0:
            raise self._failed(f"ended with {code} when it was asked to stop")

    def pause(self) -> None:
        """Hold it still, as a machine does that swaps or is out of CPU."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> Process:
        if self._process is None:
            raise ProgramFailed(f"{self.name} does not run")
        return self._process

    async def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                code = await process.wait()
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise self._failed(f"did not end within {STOP_SECONDS:g} s") from error
        except asyncio.CancelledError:  # nobody will wait for it any more
            process.kill()
            raise
        # The transport is told of the pipe's end in a later turn of the loop.
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
        return code

    def _failed(self, what: str) -> ProgramFailed:
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return ProgramFailed("\n  ".join([f"{self.name} {what}", *lines]))


def module(name: str, before: Sequence[str] = ()) -> tuple[str, ...]:
    """The command of one of our servers; ``before`` is what it is run through, for example a
    namespace's ``nsenter``, which becomes the program itself."""
    return (*before, sys.executable, "-m", name)
