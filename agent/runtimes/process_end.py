"""The end of a process that is not our child, as an event: pidfd_open(2)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

from agent.process import Identity


@contextmanager
def on_process_end(identity: Identity) -> Iterator[asyncio.Future[None]]:
    """A future that is done when the process ends; never, where the kernel has no pidfd."""
    loop = asyncio.get_running_loop()
    end: asyncio.Future[None] = loop.create_future()

    def ended() -> None:
        loop.remove_reader(descriptor)
        if not end.done():
            end.set_result(None)

    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError as error:
        if isinstance(error, ProcessLookupError):
            end.set_result(None)
        yield end
        return
    try:
        if identity.alive():
            loop.add_reader(descriptor, ended)
        else:
            end.set_result(None)
        yield end
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        end.cancel()


async def process_end(identity: Identity) -> None:
    """Wait for the end of a process."""
    with on_process_end(identity) as end:
        await end
