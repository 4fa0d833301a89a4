"""A command that is waited for, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

_SECONDS = 300.0


class CommandFailed(Exception):
    """A command ended with an exit code that was not expected; has its output."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


async def run(command: Sequence[str], expect: Sequence[int] = (0,)) -> Done:
    """Run it and wait. Raises ``CommandFailed`` when its exit code is not in ``expect``."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_SECONDS):
            out, err = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise
    done = Done(process.returncode or 0, out.decode(), err.decode())
    if done.code not in expect:
        raise CommandFailed(f"{' '.join(command)} ended with {done.code}:\n{done.err}")
    return done
