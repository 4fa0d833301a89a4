"""Has the result of every run that ended computed and kept, one after another, and puts
those of finished ones into the metrics."""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from collector.errors import TonnageError
from collector.metrics import Metrics
from collector.server.outcomes import Outcomes
from collector.stores.base import Store
from tonnage.model import RunState

_log = structlog.get_logger(__name__)

# Runs published after a restart.
_RECENT = 200
# The most that wait, and that are made up for after a restart.
_WAITING = 1000


class Publisher:
    """The conductor's ``Figures``: counts in the metrics, and has computed what ended."""

    def __init__(self, metrics: Metrics, store: Store, outcomes: Outcomes) -> None:
        self._metrics = metrics
        self._store = store
        self._outcomes = outcomes
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_WAITING)

    def stored(self, host: str, events: int, seconds: float) -> None:
        """See ``liverun.Figures``."""
        self._metrics.stored(host, events, seconds)

    def troubled(self, host: str) -> None:
        """See ``liverun.Figures``."""
        self._metrics.troubled(host)

    def ended(self, run_id: str, state: RunState) -> None:
        """See ``liverun.Figures``."""
        self._metrics.ended(state)
        if not self._waiting.full():
            self._waiting.put_nowait(run_id)

    async def run(self) -> None:
        """Publish what finished before this start, then whatever ends, for ever; what no
        collector before this one computed comes when nothing else waits."""
        for run_id in await self._recent():
            await self._publish(run_id)
        missing = await self._missing()
        while True:
            idle = missing and self._waiting.empty()
            await self._publish(missing.popleft() if idle else await self._waiting.get())

    async def _missing(self) -> deque[str]:
        """The runs whose result is not kept, latest first."""
        try:
            return deque(await self._store.without_result(_WAITING))
        except TonnageError as error:
            _log.warning("earlier results not computed", why=str(error))
            return deque()

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
            result = await self._outcomes.result(run_id)
            if result.run.state == RunState.FINISHED.value:
                self._metrics.results.publish(result)
        except TonnageError as error:
            _log.warning("result not published", run=run_id, why=str(error))
        except Exception:  # noqa: BLE001 - a result that cannot be computed ends nothing else
            _log.exception("a defect kept a result from the metrics", run=run_id)
