"""A collector and an agent as child processes, for the length of one command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from collector.cli import screen
from collector.cli.interrupts import Interrupts
from collector.errors import ConfigError, TonnageError, Unreachable

_START_SECONDS = 60.0
_LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class Server:
    """A child that serves: where, and its log."""

    name: str
    listening: str
    process: Process
    log: Path


@asynccontextmanager
async def serving(
    name: str,
    module: str,
    arguments: Sequence[str],
    log: Path,
    stop_seconds: float,
    interrupts: Interrupts,
) -> AsyncIterator[Server]:
    """Start ``module`` as a process, wait until it serves, and stop it at the end.

    It is asked by SIGTERM to stop, and killed after ``stop_seconds``; once stopping
    has begun, nothing interrupts it. Raises ``ConfigError`` or ``Unreachable`` with
    its last words if it ends or hangs before it serves.
    """
    process = await _start(module, arguments, log)
    try:
        yield Server(name, await _address(name, process, log), process, log)
    finally:
        interrupts.retire()
        await _stop(process, stop_seconds)


@asynccontextmanager
async def serving_on(
    start: Callable[[], AbstractAsyncContextManager[Server]], interrupts: Interrupts
) -> AsyncIterator[Server]:
    """As ``start()``, a call of ``serving``, and started once more if the server dies.

    Whatever a server that was killed left behind, its next life puts in order; so
    it gets one even if it dies, or has to be killed, while it is being stopped.
    """
    leaving = asyncio.Event()
    async with start() as first:
        second = asyncio.create_task(_next_life(first, start, leaving))
        try:
            yield first
        finally:
            interrupts.retire()
            leaving.set()
            revived = await second
    if first.process.returncode != 0 and not revived:
        screen.say(f"the {first.name} {_death(first)}; starting it once more to clean up")
        async with start():
            pass


async def _next_life(
    first: Server, start: Callable[[], AbstractAsyncContextManager[Server]], leaving: asyncio.Event
) -> bool:
    """Start the server again if it ends before ``leaving``; tell whether it was."""
    left = asyncio.create_task(leaving.wait())
    ended = asyncio.create_task(first.process.wait())
    await asyncio.wait((left, ended), return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    if leaving.is_set():
        return False
    screen.say(f"the {first.name} {_death(first)}; starting it once more (see {first.log})")
    try:
        async with start():
            await left
    except TonnageError as error:
        screen.say(f"error: the {first.name} could not be started again: {error}")
        await left
        return False
    return True


def _death(server: Server) -> str:
    code = server.process.returncode or 0
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


async def _start(module: str, arguments: Sequence[str], log: Path) -> Process:
    tether = [sys.executable, "-m", "collector.cli.tether", str(os.getpid()), module]
    with log.open("ab") as stderr:
        return await asyncio.create_subprocess_exec(
            *tether, *arguments, stdout=PIPE, stderr=stderr, stdin=DEVNULL, start_new_session=True
        )


async def _address(name: str, process: Process, log: Path) -> str:
    """Return the address in the one line that the server prints once it serves."""
    assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
    try:
        async with asyncio.timeout(_START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise Unreachable(
            f"the {name} did not serve within {_START_SECONDS:.0f} s", remedy=_words(log)
        ) from error
    if not line:
        code = await process.wait()
        raise ConfigError(f"the {name} ended with exit code {code}", remedy=_words(log))
    try:
        return str(json.loads(line)["listening"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unreachable(f"the {name} did not say where it serves", remedy=_words(log)) from error


def _words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    shown = "\n    ".join(lines[-_LAST_LINES:]) or "nothing"
    return f"{log} ends with:\n    {shown}"


async def _stop(process: Process, seconds: float) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(seconds):
            await _drained(process)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _drained(process: Process) -> None:
    """Wait for the end, reading what it still prints so that it never blocks on us."""
    if process.stdout is not None:
        while await process.stdout.read(65536):
            pass
    await process.wait()
