"""Results of runs, computed from the rows; kept once a run can change no more."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from collector.reports.model import Result
from collector.results import assemble
from collector.stores.base import Store

_KEPT = 16
# A run that was taken up again ends once more, at another time.
_Ending = tuple[str, int | None]


class Outcomes:
    """Computes in a thread: bootstrap intervals take seconds, and the loop has none to give."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[_Ending, Result] = OrderedDict()
        self._turn = asyncio.Lock()

    async def result(self, run_id: str) -> Result:
        """The result of the run whose id is, or uniquely begins with, ``run_id``."""
        run = await self._store.find_run(run_id)
        async with self._turn:
            ending = run.run_id, run.finished_at_unix_ns
            if ending in self._kept:
                self._kept.move_to_end(ending)
                return self._kept[ending]
            data = await self._store.load(run.run_id)
            result = await asyncio.to_thread(assemble, data)
            if data.run.state.ended:
                self._keep((data.run.run_id, data.run.finished_at_unix_ns), result)
            return result

    async def as_json(self, run_id: str) -> str:
        """The result as a JSON document."""
        result = await self.result(run_id)
        return await asyncio.to_thread(result.model_dump_json)

    def _keep(self, ending: _Ending, result: Result) -> None:
        self._kept[ending] = result
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
