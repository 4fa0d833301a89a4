"""A process of the agent's own making, whose end is an event on the loop: no thread for each."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable


class Child:
    """A started process. Must be made on the event loop; its end is learnt from a pidfd."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.popen = popen
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._when_ended: list[Callable[[], None]] = []
        self._pidfd = os.pidfd_open(popen.pid)
        self._loop.add_reader(self._pidfd, self._on_end)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set()

    @property
    def exit_status(self) -> int | None:
        """Its exit status, negative for a signal; ``None`` while it runs."""
        return self.popen.returncode

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the event loop once it has ended."""
        self._when_ended.append(callback)

    async def wait(self) -> None:
        """Wait for its end."""
        await self._ended.wait()

    def _on_end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.popen.wait()
        self._ended.set()
        for callback in self._when_ended:
            callback()
