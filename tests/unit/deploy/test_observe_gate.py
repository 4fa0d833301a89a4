"""A way to an engine that can be shut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.observe.gate import Gate


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An engine that says what it heard once it has heard all of it."""
    writer.write(await reader.read())
    writer.close()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[str]:
    async with await asyncio.start_unix_server(_echo, tmp_path / "engine") as server:
        yield f"unix://{tmp_path / 'engine'}"
        server.close()


@pytest.fixture
async def gate(engine: str, tmp_path: Path) -> AsyncIterator[Gate]:
    made = Gate(engine, tmp_path / "gate")
    async with made.opened():
        yield made


async def _said(gate: Gate, words: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(gate.at)
    writer.write(words)
    writer.write_eof()
    heard = await reader.read()
    writer.close()
    return heard


async def test_what_is_said_goes_through_both_ways_and_so_does_its_end(gate: Gate) -> None:
    words = bytes(range(256)) * 1000
    assert tuple(await asyncio.gather(_said(gate, words), _said(gate, b""))) == (words, b"")


async def test_shut_it_ends_who_is_on_the_way_and_admits_nobody(gate: Gate) -> None:
    reader, writer = await asyncio.open_unix_connection(gate.at)
    await _said(gate, b"by then the other one is through, too")
    await gate.shut()
    await gate.shut()
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(FileNotFoundError):
        await _said(gate, b"x")


async def test_it_may_be_opened_again(gate: Gate) -> None:
    await gate.shut()
    await gate.open()
    await gate.open()
    assert await _said(gate, b"back") == b"back"


async def test_without_an_engine_there_is_no_way(tmp_path: Path) -> None:
    async with Gate(None, tmp_path / "gate").opened():
        assert not (tmp_path / "gate").exists()
