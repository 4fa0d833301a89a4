"""An attached console: the engine's multiplexed stream, read on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

from agent.runtimes.console import Console

_HEADER_BYTES = 8
_READ_BYTES = 1 << 16


class Demultiplexer:
    """Takes the frames off a stream without a TTY; stdout and stderr become one.

    A frame is one byte of stream number, three of padding, four of big-endian
    payload length, then the payload (Docker Engine API, "Attach to a
    container"). Chunks may end anywhere, inside a header too.
    """

    def __init__(self) -> None:
        self._header = b""
        self._left_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """The payload bytes of a chunk."""
        payload = []
        at = 0
        while at < len(data):
            if self._left_bytes:
                piece = data[at : at + self._left_bytes]
                payload.append(piece)
                self._left_bytes -= len(piece)
                at += len(piece)
            else:
                piece = data[at : at + _HEADER_BYTES - len(self._header)]
                self._header += piece
                at += len(piece)
                if len(self._header) == _HEADER_BYTES:
                    self._left_bytes = int.from_bytes(self._header[4:], "big")
                    self._header = b""
        return b"".join(payload)


class ConsoleStream:
    """The console's connection to the engine. Lives on the event loop.

    Opened with a connected socket, which it owns from then on; closed by
    ``close`` or by the other end. ``on_first_byte`` gets the instant at which the
    first payload was read, ``on_close`` the stream once it is closed.
    """

    def __init__(
        self,
        console: Console,
        on_first_byte: Callable[[int], None] | None = None,
        on_close: Callable[[ConsoleStream], None] | None = None,
    ) -> None:
        self._console = console
        self._on_first_byte = on_first_byte
        self._on_close = on_close
        self._demultiplexer = Demultiplexer()
        self._socket: socket.socket | None = None
        self._closed = False

    def open(self, connection: socket.socket) -> None:
        """Read from now on; a stream closed before lets go of the socket at once."""
        if self._closed:
            connection.close()
            return
        connection.setblocking(False)
        self._socket = connection
        asyncio.get_running_loop().add_reader(connection, self._read)

    async def send(self, data: bytes) -> None:
        """Write to the instance's standard input. Raises ``OSError`` if it is closed."""
        if self._socket is None:
            raise BrokenPipeError("the console is closed")
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def close(self) -> None:
        """Let go of the connection; the console ends. The instance is not touched. Idempotent."""
        self._closed = True
        connection, self._socket = self._socket, None
        if connection is not None:
            asyncio.get_running_loop().remove_reader(connection)
            connection.close()
        self._console.end()
        if self._on_close is not None:
            self._on_close(self)

    def _read(self) -> None:
        data = b""
        if self._socket is not None:
            with contextlib.suppress(ConnectionError):
                try:
                    data = self._socket.recv(_READ_BYTES)
                except BlockingIOError:
                    return
        at_monotonic_ns = time.monotonic_ns()
        payload = self._demultiplexer.feed(data)
        if payload:
            if self._on_first_byte is not None:
                self._on_first_byte(at_monotonic_ns)
                self._on_first_byte = None
            self._console.feed(payload, at_monotonic_ns)
        if not data:
            self.close()
