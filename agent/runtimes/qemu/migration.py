"""Saving a VM's state to a file and loading it again, over QMP.

QEMU is given open files, no commands to run and no paths to open: its sandbox
forbids it to start anything. Files by descriptor are read and written by every
QEMU; ``file:`` and ``mapped-ram`` are those of 8.2 and 9.0.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from qemu.qmp import EventListener, QMPClient, QMPError, Runstate

_UNBOUNDED_BYTES_PER_SECOND = 1 << 40
_DONE, _FAILED = "completed", ("failed", "cancelled")


class MigrationFailed(Exception):
    """QEMU refused, or went away; the text says what it said."""


async def save(connection: socket.socket, state: int, *, ignore_shared: bool) -> None:
    """Stop the VM and write its state to the open file ``state``. It stays stopped.

    ``ignore_shared``: without memory that is a shared file. Raises ``MigrationFailed``.
    """
    async with _talking(connection, ignore_shared=ignore_shared) as client:
        await client.execute("stop")
        await client.execute(
            "migrate-set-parameters", {"max-bandwidth": _UNBOUNDED_BYTES_PER_SECOND}
        )
        client.send_fd_scm(state)
        await client.execute("getfd", {"fdname": "state"})
        await _migrated(client, "migrate", "fd:state")


async def load(connection: socket.socket, state: int, *, ignore_shared: bool) -> None:
    """Load a state into a VM that waits for it (``-incoming defer``) and let it run on.

    ``state`` is the descriptor under which QEMU inherited the file, at its begin.
    Raises ``MigrationFailed``.
    """
    async with _talking(connection, ignore_shared=ignore_shared) as client:
        await _migrated(client, "migrate-incoming", f"fd:{state}")
        await client.execute("cont")


@asynccontextmanager
async def _talking(connection: socket.socket, *, ignore_shared: bool) -> AsyncIterator[QMPClient]:
    """A client that has greeted, on a duplicate: ``connection`` stays its owner's."""
    client = QMPClient()
    try:
        await client.connect(connection.dup())
        wanted = {"events": True, "x-ignore-shared": ignore_shared}
        states = [{"capability": name, "state": on} for name, on in wanted.items()]
        await client.execute("migrate-set-capabilities", {"capabilities": states})
        yield client
    except (QMPError, OSError, EOFError) as error:
        raise MigrationFailed(f"{type(error).__name__}: {error}") from error
    finally:
        with contextlib.suppress(QMPError, OSError, EOFError):
            await client.disconnect()


async def _migrated(client: QMPClient, command: str, uri: str) -> None:
    """Order a migration and wait for its end, which QEMU tells, or for QEMU's own."""
    with client.listener("MIGRATION") as told:
        await client.execute(command, {"uri": uri})
        end, gone = asyncio.ensure_future(_end(client, told)), asyncio.ensure_future(_gone(client))
        try:
            await asyncio.wait((end, gone), return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                raise MigrationFailed("QEMU ended before the migration did")
            end.result()
        finally:
            end.cancel()
            gone.cancel()


async def _gone(client: QMPClient) -> None:
    """Wait for the end of the connection, of which a listener hears nothing."""
    while client.runstate is Runstate.RUNNING:
        await client.runstate_changed()


async def _end(client: QMPClient, told: EventListener) -> None:
    async for event in told:
        data: Any = event["data"]
        if data["status"] == _DONE:
            return
        if data["status"] in _FAILED:
            why: Any = await client.execute("query-migrate")
            raise MigrationFailed(str(why.get("error-desc", data["status"])))
