"""A way to an engine that can be shut: a socket beside its own, and what goes through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_CHUNK_BYTES = 1 << 16


class Gate:
    """``at`` leads to the engine at the address ``engine``, and nowhere without one."""

    def __init__(self, engine: str | None, at: Path) -> None:
        self.at = at
        self._engine = engine
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Let everyone through. Idempotent."""
        if self._engine and self._server is None:
            self.at.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._let_through, self.at)

    async def shut(self) -> None:
        """Let nobody through, and end what is on its way: an engine that went away. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self.at.unlink(missing_ok=True)
        passing = [*self._passing]
        for each in passing:
            each.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open within the block, and shut after it."""
        await self.open()
        try:
            yield
        finally:
            await self.shut()

    async def _let_through(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.ensure_future(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._engine is not None  # noqa: S101 - nothing is opened without one
        ends = [writer]
        try:
            with suppress(OSError):
                path = self._engine.removeprefix("unix://")
                there, back = await asyncio.open_unix_connection(path)
                ends.append(back)
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            for end in ends:
                end.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof() and not sink.is_closing():
        sink.write_eof()
