"""Results of runs, computed from the rows; kept once a run can change no more."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from collector.reports.model import Result
from collector.results import assemble
from collector.stores.base import Store

_KEPT = 16


class Outcomes:
    """Computes in a thread: bootstrap intervals take seconds, and the loop has none to give."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[str, Result] = OrderedDict()
        self._turn = asyncio.Lock()

    async def result(self, run_id: str) -> Result:
        """The result of the run whose id is, or uniquely begins with, ``run_id``."""
        run = await self._store.find_run(run_id)
        async with self._turn:
            if run.run_id in self._kept:
                self._kept.move_to_end(run.run_id)
                return self._kept[run.run_id]
            data = await self._store.load(run.run_id)
            result = await asyncio.to_thread(assemble, data)
            if data.run.state.ended:
                self._keep(run.run_id, result)
            return result

    async def as_json(self, run_id: str) -> str:
        """The result as a JSON document."""
        result = await self.result(run_id)
        return await asyncio.to_thread(result.model_dump_json)

    def _keep(self, run_id: str, result: Result) -> None:
        self._kept[run_id] = result
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
