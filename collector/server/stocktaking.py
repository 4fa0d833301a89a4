"""Looks at the store once a minute, for the metrics: a scrape waits for no disk."""

from __future__ import annotations

import asyncio

import structlog

from collector.errors import TonnageError
from collector.metrics import Kept
from collector.stores.base import ResultStore

_EVERY_SECONDS = 60.0
# A store that lacks more than that lacks many.
_MISSING_MOST = 1000

_log = structlog.get_logger(__name__)


class Stocktaking:
    """``run`` it; ``kept`` is what was found last, nothing while the store fails."""

    def __init__(self, store: ResultStore, every_seconds: float = _EVERY_SECONDS) -> None:
        self._store = store
        self._every_seconds = every_seconds
        self.kept = Kept()

    async def look(self) -> None:
        """Look now. Raises ``StoreError``."""
        self.kept = Kept()
        missing = len(await self._store.without_result(_MISSING_MOST))
        self.kept = Kept(await self._store.size_bytes(), missing)

    async def run(self) -> None:
        """Look at once, then again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except TonnageError as error:
                _log.warning("cannot see what the store takes", why=str(error))
            await asyncio.sleep(self._every_seconds)
