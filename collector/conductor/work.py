"""Tasks that others join while they run, done when none is left; and one that another ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self


class Work:
    """One task's failure stops no other; the first is raised once all have ended.

    ``async with`` it: leaving early cancels them. ``open`` until ``done`` returned.
    """

    def __init__(self) -> None:
        self.open = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._failure: BaseException | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.open = False
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run one more."""
        self._none_left.clear()
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def done(self) -> None:
        """Wait until none is left. Raises what the first to fail raised."""
        while self._tasks:
            await self._none_left.wait()
        self.open = False
        if self._failure is not None:
            raise self._failure

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and self._failure is None:
            self._failure = task.exception()
        if not self._tasks:
            self._none_left.set()


async def unless(end: Coroutine[Any, Any, object], work: Coroutine[Any, Any, object]) -> bool:
    """Await ``work`` unless ``end`` returns first; whether it was done. Raises what it does."""
    done, stop = asyncio.ensure_future(work), asyncio.ensure_future(end)
    try:
        await asyncio.wait({done, stop}, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            done.result()
            return True
        return False
    finally:
        done.cancel()
        stop.cancel()
        await asyncio.gather(done, stop, return_exceptions=True)
