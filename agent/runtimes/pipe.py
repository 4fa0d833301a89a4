"""A console on descriptors of ours, read on the event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from agent.runtimes.console import Console

_READ_BYTES = 1 << 16


class ConsolePipe:
    """Feeds a console from a non-blocking descriptor until its end; owns what it is given.

    ``into`` is where its standard input is written, ``None`` where nobody asks anything; it
    may be the same descriptor. ``on_first_byte`` gets the instant at which the first chunk
    was read. Must be made on the event loop.
    """

    def __init__(
        self,
        console: Console,
        out: int,
        into: int | None,
        on_first_byte: Callable[[int], None] | None = None,
    ) -> None:
        self._console = console
        self._out = out
        self._into = into
        self._on_first_byte = on_first_byte
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._loop.add_reader(out, self._read)

    async def send(self, data: bytes) -> None:
        """Write to the standard input. Raises ``OSError`` if it is closed or full."""
        if not self._open or self._into is None:
            raise BrokenPipeError("the console takes no input")
        written = os.write(self._into, data)
        if written < len(data):
            raise BlockingIOError("the console takes no more input")

    def close(self) -> None:
        """Read what is left and close; the console ends. The instance is not touched.
        Idempotent."""
        while self._open and self._read():
            pass
        self._end()

    def _read(self) -> bool:
        """Read one chunk; whether there was one."""
        try:
            data = os.read(self._out, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        at_monotonic_ns = time.monotonic_ns()
        if not data:
            self._end()
            return False
        if self._on_first_byte is not None:
            self._on_first_byte(at_monotonic_ns)
            self._on_first_byte = None
        self._console.feed(data, at_monotonic_ns)
        return True

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._out)
            os.close(self._out)
            if self._into is not None and self._into != self._out:
                os.close(self._into)
            self._console.end()
