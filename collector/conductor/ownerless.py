"""Runs that have not ended and that no collector drives: left by one that died, or by us.

Where a store has one collector these are what the one before it left. Where several
share one, each looks now and then. A run is passed over the first time it is seen
so, unless a collector starts: who stored it may be about to own it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from collector.conductor.liverun import LiveRun
from collector.errors import StoreError
from collector.model import Run
from collector.stores.base import Store

_log = structlog.get_logger(__name__)


class Runs(Protocol):
    """The runs that are driven here."""

    def live(self, run_id: str) -> LiveRun | None:
        """The run, if it is driven here."""

    async def go_on(self, run: Run) -> None:
        """Drive a run if nobody owns it. Raises ``StoreError``."""


class Ownerless:
    """Looks for them every ``every`` seconds."""

    def __init__(self, store: Store, runs: Runs, every: float) -> None:
        self._store = store
        self._runs = runs
        self._every = every
        # Not driven here when it was looked last.
        self._seen: set[str] = set()
        # Cancelled here, and perhaps not stored.
        self._wishes: set[str] = set()
        self._told: set[str] = set()

    def left(self, run_id: str, *, cancelled: bool) -> None:
        """A run that was driven here is not ours any more: whoever is first has it."""
        self._seen.add(run_id)
        if cancelled:
            self._wishes.add(run_id)

    async def keep_looking(self) -> None:
        """Look, until cancelled, whatever goes wrong."""
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.look()
            except StoreError as error:
                _log.warning("could not look for runs without an owner", why=str(error))
            except Exception:  # noqa: BLE001 - a defect here must not end the collector
                _log.exception("a defect kept runs from being taken up")

    async def look(self, *, at_once: bool = False) -> None:
        """Take up runs that were seen before, or ``at_once`` any. Raises ``StoreError``."""
        unfinished = await self._store.unfinished_runs()
        for run in unfinished:
            live = self._runs.live(run.run_id)
            if live is None and (at_once or run.run_id in self._seen):
                await self._take_up(run)
            elif live is not None and run.cancel_requested and not live.cancelled:
                await live.cancel()  # somebody asked another collector
        self._seen = {run.run_id for run in unfinished if self._runs.live(run.run_id) is None}

    async def _take_up(self, run: Run) -> None:
        """One that cannot be read keeps no other from going on."""
        try:
            if run.run_id in self._wishes:
                await self._store.request_cancel(run.run_id)
                self._wishes.discard(run.run_id)
            await self._runs.go_on(run)
        except StoreError as error:
            if run.run_id not in self._told:
                self._told.add(run.run_id)
                _log.error("not taken up", run=run.run_id, why=str(error))
