"""Puts the results of ended runs into the metrics, one after another."""

from __future__ import annotations

import asyncio

import structlog

from collector.errors import TonnageError
from collector.metrics import Metrics
from collector.server.outcomes import Outcomes
from collector.stores.base import Store
from tonnage.model import RunState

_log = structlog.get_logger(__name__)

# Runs looked at after a restart, and the most that wait to be published.
_RECENT = 20


class Publisher:
    """The conductor's ``Figures``: counts in the metrics, and publishes what has ended."""

    def __init__(self, metrics: Metrics, store: Store, outcomes: Outcomes) -> None:
        self._metrics = metrics
        self._store = store
        self._outcomes = outcomes
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_RECENT)

    def stored(self, host: str, events: int, seconds: float) -> None:
        """See ``liverun.Figures``."""
        self._metrics.stored(host, events, seconds)

    def troubled(self, host: str) -> None:
        """See ``liverun.Figures``."""
        self._metrics.troubled(host)

    def ended(self, run_id: str, state: RunState) -> None:
        """See ``liverun.Figures``."""
        self._metrics.ended(state)
        if state is RunState.FINISHED and not self._waiting.full():
            self._waiting.put_nowait(run_id)

    async def run(self) -> None:
        """Publish what finished before this start, then what finishes, for ever."""
        for run_id in await self._recent():
            await self._publish(run_id)
        while True:
            await self._publish(await self._waiting.get())

    async def _recent(self) -> list[str]:
        """The finished runs among the latest, oldest first."""
        try:
            latest = await self._store.list_runs(_RECENT)
        except TonnageError as error:
            _log.warning("earlier results not published", why=str(error))
            return []
        return [run.run_id for run, _, _ in reversed(latest) if run.state is RunState.FINISHED]

    async def _publish(self, run_id: str) -> None:
        try:
            self._metrics.results.publish(await self._outcomes.result(run_id))
        except TonnageError as error:
            _log.warning("result not published", run=run_id, why=str(error))
        except Exception:  # noqa: BLE001 - a result that cannot be computed ends nothing else
            _log.exception("a defect kept a result from the metrics", run=run_id)
