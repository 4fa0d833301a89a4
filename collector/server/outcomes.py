"""Results of runs: computed from the rows once, kept in the store, and read from there."""

from __future__ import annotations

import asyncio
import time

import structlog
from pydantic import ValidationError

from collector.errors import StoreError
from collector.model import KeptResult, Run, RunData
from collector.reports.model import Result
from collector.stores.base import Store
from tonnage import __version__

_log = structlog.get_logger(__name__)


class Outcomes:
    """Computes in a thread: bootstrap intervals take seconds, and the loop has none to give."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = asyncio.Lock()

    async def result(self, run_id: str) -> Result:
        """The result of the run whose id is, or uniquely begins with, ``run_id``.

        One that an earlier version computed is computed anew, as long as its trials are there.
        """
        run = await self._store.find_run(run_id)
        result = await self._kept(run)
        if result is None:
            async with self._turn:
                # Another may have asked for the same, and waited less.
                run = await self._store.find_run(run.run_id)
                result = await self._kept(run) or await self._computed(run.run_id)
        return result

    async def as_json(self, run_id: str) -> str:
        """The result as a JSON document."""
        result = await self.result(run_id)
        return await asyncio.to_thread(result.model_dump_json)

    async def _kept(self, run: Run) -> Result | None:
        """The result in the store, if it is what would be computed now, or all there is."""
        kept = await self._store.kept_result(run.run_id) if run.state.ended else None
        removed = run.raw_removed_at_unix_ns
        if kept is None or (removed is None and kept.version != __version__):
            return None
        try:
            result = await asyncio.to_thread(Result.model_validate_json, kept.result_json)
        except ValidationError as error:
            if removed is None:
                return None
            raise _unreadable(kept) from error
        return result if removed is None else await asyncio.to_thread(_bare, result, removed)

    async def _computed(self, run_id: str) -> Result:
        data = await self._store.load(run_id)
        result = await asyncio.to_thread(_assemble, data)
        if data.run.finished_at_unix_ns is not None and data.run.state.ended:
            await self._keep(data, data.run.finished_at_unix_ns, result)
        return result

    async def _keep(self, data: RunData, finished_at_unix_ns: int, result: Result) -> None:
        kept = KeptResult(
            run_id=data.run.run_id,
            finished_at_unix_ns=finished_at_unix_ns,
            events=sum(host.high_water for host in data.hosts),
            version=__version__,
            computed_at_unix_ns=time.time_ns(),
            result_json=await asyncio.to_thread(result.model_dump_json),
        )
        try:
            await self._store.keep_result(kept)
        except StoreError as error:  # whoever asked has it all the same
            _log.warning("result not kept; it is computed again", run=kept.run_id, why=str(error))


# What computes imports numpy and scipy, for which no start of the collector should wait.


def _assemble(data: RunData) -> Result:
    from collector.results import assemble

    return assemble(data)


def _bare(result: Result, removed_at_unix_ns: int) -> Result:
    from collector.results.document import without_trials

    return without_trials(result, removed_at_unix_ns)


def _unreadable(kept: KeptResult) -> StoreError:
    return StoreError(
        f"the result that Tonnage {kept.version} kept cannot be read by {__version__}, and the"
        " trials it was computed from were removed",
        field="run",
        value=kept.run_id,
        remedy=f"Show it with Tonnage {kept.version}.",
    )
