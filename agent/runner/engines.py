"""Waits for an engine that went away within a run: one that is restarted is soon back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 1.0

Tell = Callable[[str], None]
Answers = Callable[[str], Awaitable[bool]]


class Engines:
    """The engines of one stage: which of them was missed, and is worth waiting for.

    An engine that does not come back in time is not waited for again until a start
    was made with it: the run is to fail then, not to dawdle.
    """

    def __init__(self, answers: Answers, stopped: asyncio.Event, tell: Tell) -> None:
        """``answers``: whether a runtime's engine does; ``stopped`` ends every wait;
        ``tell`` is told how long launching paused, if it did."""
        self._answers = answers
        self._stopped = stopped
        self._tell = tell
        self._missed: set[str] = set()
        self._given_up: set[str] = set()
        self._waiting = asyncio.Lock()

    def met(self, name: str) -> None:
        """The engine of that runtime was there."""
        self._given_up.discard(name)

    def missed(self, name: str) -> None:
        """It was not."""
        if name not in self._given_up:
            self._missed.add(name)

    async def back(self, name: str) -> None:
        """Return once it is there, or is not waited for; at once if it was not missed."""
        if name not in self._missed:
            return
        async with self._waiting:
            if name in self._missed:
                await self._wait(name)

    async def _wait(self, name: str) -> None:
        began, pauses = time.monotonic(), 0
        while not (there := await self._answers(name)) and not self._stopped.is_set():
            if time.monotonic() - began >= PATIENCE_SECONDS:
                self._given_up.add(name)
                break
            await self._rest()
            pauses += 1
        self._missed.discard(name)
        if pauses:
            seconds = time.monotonic() - began
            outcome = "" if there else ", and still does not"
            self._tell(f"launching paused {seconds:.1f} s: {name} did not answer{outcome}")

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                await self._stopped.wait()
        except TimeoutError:
            pass
