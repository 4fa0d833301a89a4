"""Events of one run from one host into the store, acknowledged after commit.

What arrives while a batch is being committed is decoded meanwhile, and joined
into the next commit: a slow disk makes commits larger, not more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress

from collector.agents import Agent
from collector.errors import TonnageError
from collector.stores.base import Store
from tonnage.v1 import model_pb2

Events = Sequence[model_pb2.Event]
# Told of events that are stored now, and how long the commit took, in seconds.
Stored = Callable[[Events, float], None]

_AHEAD = 8
_JOINED = 4000
_ACK_EVERY_SECONDS = 0.2
_LAST_ACKS = 3
_ACK_DELAY_SECONDS = 0.5


class StreamEnded(TonnageError):
    """The agent ended its stream before the run's last event."""


class Pull:
    """One attempt at a host's stream. ``mark`` is the highest sequence stored."""

    def __init__(
        self,
        key: tuple[str, str],
        agent: Agent,
        store: Store,
        stored: Stored,
        prepared: Callable[[], None] | None = None,
    ) -> None:
        """``prepared`` is told as soon as the host says that it is: those that wait for the
        last host wait for no commit of the others' rows."""
        self._run_id, self._host = key
        self._prepared = prepared
        self._agent = agent
        self._store = store
        self._stored = stored
        self._inbox: asyncio.Queue[Events | TonnageError] = asyncio.Queue(_AHEAD)
        self._kept: Events | TonnageError | None = None
        self._moved = asyncio.Event()
        self._mark = 0
        self._ended = False

    async def events_after(self, mark: int) -> None:
        """Store and acknowledge everything up to the run's last event.

        Raises ``StreamEnded``, or what broke the stream or the store.
        """
        self._mark = mark
        tasks = [asyncio.create_task(self._read(mark)), asyncio.create_task(self._acknowledge())]
        try:
            while not self._ended:
                await self._store_next()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._acknowledge_end()

    async def _read(self, mark: int) -> None:
        try:
            async with aclosing(self._agent.events(self._run_id, mark)) as batches:
                async for batch in batches:
                    if batch:
                        self._look_for_prepared(batch)
                        await self._inbox.put(list(batch))
            message = f"host {self._host} ended its stream before the run's last event"
            await self._inbox.put(StreamEnded(message))
        except TonnageError as error:
            await self._inbox.put(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the storing side must hear of it
            await self._inbox.put(TonnageError(f"reading from host {self._host} failed: {error!r}"))

    def _look_for_prepared(self, batch: Events) -> None:
        """In the first batches alone: once it has begun, a host has been prepared."""
        if self._prepared is None:
            return
        kinds = {event.WhichOneof("payload") for event in batch}
        if "run_prepared" in kinds:
            self._prepared()
        if not kinds <= {"run_started", "notice", "snapshot"}:
            self._prepared = None

    async def _store_next(self) -> None:
        events = await self._next_batch()
        began = time.perf_counter()
        before, self._mark = self._mark, await self._store.append(self._run_id, self._host, events)
        seconds = time.perf_counter() - began
        self._moved.set()
        fresh = events[max(0, before - events[0].sequence + 1) :]
        if fresh:
            self._ended = fresh[-1].WhichOneof("payload") == "run_finished"
            self._stored(fresh, seconds)

    async def _next_batch(self) -> Events:
        """The next batch, with those that follow it at once and without a break."""
        joined = list(await self._taken())
        while len(joined) < _JOINED and not self._inbox.empty():
            item = self._inbox.get_nowait()
            if isinstance(item, TonnageError) or item[0].sequence != joined[-1].sequence + 1:
                self._kept = item
                break
            joined += item
        return joined

    async def _taken(self) -> Events:
        item, self._kept = self._kept, None
        if item is None:
            item = await self._inbox.get()
        if isinstance(item, TonnageError):
            raise item
        return item

    async def _acknowledge(self) -> None:
        """Tell the agent the latest mark, now and then; a failure is made good by the next."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            with suppress(TonnageError):
                await self._agent.ack(self._run_id, self._mark)
            await asyncio.sleep(_ACK_EVERY_SECONDS)

    async def _acknowledge_end(self) -> None:
        """The last mark has none after it, so it is tried again, though not for ever."""
        for _ in range(_LAST_ACKS):
            with suppress(TonnageError):
                await self._agent.ack(self._run_id, self._mark)
                return
            await asyncio.sleep(_ACK_DELAY_SECONDS)
