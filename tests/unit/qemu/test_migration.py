"""What is made of a VMM that goes away while its state is loaded."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from agent.runtimes.qemu import migration

_VERSION = {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}
_GREETING = {"QMP": {"version": _VERSION, "capabilities": []}}


async def _ordered(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, object]]:
    """The commands as they come; the client puts nothing between two."""
    decoder, text = json.JSONDecoder(), ""
    while chunk := await reader.read(4096):
        text += chunk.decode()
        while text:
            try:
                command, end = decoder.raw_decode(text)
            except ValueError:
                break
            text = text[end:].lstrip()
            yield command


async def _dies_loading(connection: socket.socket) -> None:
    """A VMM that takes every order, and ends in the middle of a migration."""
    reader, writer = await asyncio.open_connection(sock=connection)
    writer.write(json.dumps(_GREETING).encode() + b"\n")
    async for command in _ordered(reader):
        answer = {"return": {}} | ({"id": command["id"]} if "id" in command else {})
        writer.write(json.dumps(answer).encode() + b"\n")
        if command["execute"] == "migrate-incoming":
            break
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_a_vmm_that_ends_while_it_loads_is_a_failure_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        theirs.setblocking(False)
        vmm = asyncio.create_task(_dies_loading(theirs))
        async with asyncio.timeout(10):
            with pytest.raises(migration.MigrationFailed, match="ended"):
                await migration.load(ours, 5, ignore_shared=False)
            await vmm
