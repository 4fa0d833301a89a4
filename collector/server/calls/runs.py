"""Runs: submitted, watched, cancelled, read, relieved of their trials."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing

from collector.errors import InvalidInput
from collector.server.calls.parts import Calls, Context
from collector.views import RunInfo
from tonnage import wire
from tonnage.v1 import collector_pb2 as pb

_BATCH = 500
_RUNS_SHOWN = 50
_RUNS_MOST = 1000
_OLDEST_SECONDS = 36_500 * 86_400.0


class RunCalls(Calls):
    """Runs."""

    async def SubmitRun(
        self, request: pb.SubmitRunRequest, context: Context
    ) -> pb.SubmitRunResponse:
        """See the contract."""
        run = await self.parts.submission.submit(request.spec_json, request.request_token)
        return pb.SubmitRunResponse(run_id=run.run_id)

    async def WatchRun(
        self, request: pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunResponse]:
        """See the contract."""
        async for progress in self.parts.conductor.watch(request.run_id):
            yield wire.filled(pb.WatchRunResponse(), progress)

    async def CancelRun(
        self, request: pb.CollectorServiceCancelRunRequest, context: Context
    ) -> pb.CollectorServiceCancelRunResponse:
        """See the contract."""
        told = await self.parts.conductor.cancel(request.run_id)
        return wire.filled(pb.CollectorServiceCancelRunResponse(), told)

    async def ResumeRun(
        self, request: pb.ResumeRunRequest, context: Context
    ) -> pb.ResumeRunResponse:
        """See the contract."""
        resumed = await self.parts.conductor.resume(request.run_id)
        return wire.filled(pb.ResumeRunResponse(), resumed)

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        """See the contract."""
        limit = min(request.limit or _RUNS_SHOWN, _RUNS_MOST)
        runs = [
            RunInfo(
                run_id=run.run_id,
                name=run.name,
                state=run.state,
                started_at_unix_ns=run.started_at_unix_ns,
                finished_at_unix_ns=run.finished_at_unix_ns,
                hosts=tuple(hosts),
                trials=trials,
                queue_position=len(self.parts.conductor.before(run.run_id)),
            )
            for run, hosts, trials in await self.parts.store.list_runs(limit)
        ]
        return pb.ListRunsResponse(runs=[wire.filled(pb.RunInfo(), run) for run in runs])

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        """See the contract."""
        return pb.GetRunResponse(result_json=await self.parts.outcomes.as_json(request.run_id))

    async def ListPrunable(
        self, request: pb.ListPrunableRequest, context: Context
    ) -> pb.ListPrunableResponse:
        """See the contract."""
        seconds = request.older_than_seconds
        if not 0 <= seconds <= _OLDEST_SECONDS:
            raise InvalidInput(
                "is no age",
                field="older_than_seconds",
                value=f"{seconds:g}",
                remedy=f"Give 0 to {_OLDEST_SECONDS:g} seconds.",
            )
        before = time.time_ns() - int(seconds * 1e9)
        return pb.ListPrunableResponse(run_ids=await self.parts.store.runs_with_raw(before))

    async def PruneRun(self, request: pb.PruneRunRequest, context: Context) -> pb.PruneRunResponse:
        """See the contract."""
        pruned = await self.parts.retention.prune(request.run_id)
        return wire.filled(pb.PruneRunResponse(), pruned)

    async def ExportTrials(
        self, request: pb.ExportTrialsRequest, context: Context
    ) -> AsyncIterator[pb.ExportTrialsResponse]:
        """See the contract."""
        run = await self.parts.store.find_run(request.run_id)
        async with aclosing(self.parts.store.trials(run.run_id, _BATCH)) as batches:
            async for batch in batches:
                yield pb.ExportTrialsResponse(
                    trials=[wire.filled(pb.TrialRecord(), row) for row in batch]
                )
