"""SIGKILL to processes that are known by identity, and the wait for their end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable

from agent.process import Identity

END_SECONDS = 5.0


def identities(found: Iterable[int]) -> tuple[Identity, ...]:
    """The identities of those pids that still exist."""
    return tuple(one for pid in found if (one := Identity.of(pid)) is not None)


def send(target: Identity, number: signal.Signals) -> bool:
    """Send a signal to that very process; whether it was there."""
    try:
        pidfd = os.pidfd_open(target.pid)
    except ProcessLookupError:
        return False
    try:
        if not target.alive():  # asked after opening: what the pidfd means stays the same
            return False
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


async def kill(targets: Iterable[Identity]) -> tuple[Identity, ...]:
    """Kill processes and wait for their end; return those that outlive five seconds."""
    outcomes = await asyncio.gather(*(_kill_one(target) for target in targets))
    return tuple(target for target in outcomes if target is not None)


async def _kill_one(target: Identity) -> Identity | None:
    try:
        pidfd = os.pidfd_open(target.pid)
    except ProcessLookupError:
        return None
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        if not target.alive():  # asked after opening: what the pidfd means stays the same
            return None
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        async with asyncio.timeout(END_SECONDS):
            await ended.wait()
    except ProcessLookupError:
        return None
    except (PermissionError, TimeoutError):  # another user's is not ours to end
        return target
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    return None
