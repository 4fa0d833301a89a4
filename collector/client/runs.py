"""Runs: submitted, watched, cancelled, read, relieved of their trials."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from collector import errors
from collector.client.connection import SLOW_SECONDS, Connection, unreachable
from collector.model import TrialRow
from collector.reports.model import Result
from collector.views import (
    Cancelled,
    HostCleaning,
    HostKilled,
    HostProgress,
    Progress,
    Pruned,
    Resumed,
    RunInfo,
    Stopped,
)
from tonnage import wire
from tonnage.model import Problem, RunState
from tonnage.v1 import collector_pb2 as pb

_EXPORT_SECONDS = 3600.0
_PRUNE_SECONDS = 3600.0
_RETRY_SECONDS = 0.5
_STOP_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class _Head:
    run_id: str
    state: RunState
    problem: Problem | None
    queue_position: int
    behind: tuple[str, ...]
    start_skew_seconds: float | None


_ANSWERS: dict[str, type[HostKilled | HostCleaning | Problem]] = {
    "killed": HostKilled,
    "removed": HostCleaning,
    "problem": Problem,
}


class Runs(Connection):
    """What is asked about runs."""

    async def submit(
        self, spec_json: str, request_token: str = "", wait_seconds: float = 0.0
    ) -> str:
        """Start a run of an experiment and return its id.

        A second call with the same token answers with the first one's run.
        ``wait_seconds`` is how long the experiment waits for hosts.
        """
        request = pb.SubmitRunRequest(spec_json=spec_json, request_token=request_token)
        seconds = SLOW_SECONDS + wait_seconds
        return str((await self.call(self.stub.SubmitRun, request, seconds)).run_id)

    async def watch(self, run_id: str, patience_seconds: float = 30.0) -> AsyncIterator[Progress]:
        """Yield the run's progress until it ends; the last has its final state.

        A connection that was there and broke is tried again for ``patience_seconds``.
        """
        clock = asyncio.get_running_loop().time
        give_up_at: float | None = clock()  # no patience with a collector that was never there
        while True:
            trouble: errors.Unreachable | None = None
            try:
                async for progress in self._watch_once(run_id):
                    give_up_at = None
                    yield progress
                    if progress.state.ended:
                        return
            except errors.Unreachable as error:
                trouble = error
            give_up_at = clock() + patience_seconds if give_up_at is None else give_up_at
            if clock() >= give_up_at:
                raise trouble or unreachable(self.address, "went away")
            await asyncio.sleep(_RETRY_SECONDS)

    async def cancel(self, run_id: str) -> Cancelled:
        """Cancel a run on every host."""
        request = pb.CollectorServiceCancelRunRequest(run_id=run_id)
        answer = await self.call(self.stub.CancelRun, request, SLOW_SECONDS)
        return Cancelled(tuple(answer.reached), tuple(answer.unreached))

    async def resume(self, run_id: str) -> Resumed:
        """Take up again what of a run did not reach its end."""
        request = pb.ResumeRunRequest(run_id=run_id)
        answer = await self.call(self.stub.ResumeRun, request, SLOW_SECONDS)
        return Resumed(str(answer.run_id), tuple(answer.hosts))

    async def stop_all(self, host: str = "") -> AsyncIterator[Stopped]:
        """Stop everything on one host, or on all; their answers as they come."""
        request = pb.CollectorServiceStopAllRequest(host=host)
        with self.translated():
            async for update in self.stub.StopAll(request, timeout=_STOP_SECONDS):
                kind = update.WhichOneof("answer")
                if kind in _ANSWERS:  # else it is a newer collector's
                    answer = wire.from_message(getattr(update, kind), _ANSWERS[kind])
                    yield Stopped(str(update.host), answer)

    async def prunable(self, older_than_seconds: float) -> tuple[str, ...]:
        """Runs that ended longer ago and have their trials still, oldest first."""
        request = pb.ListPrunableRequest(older_than_seconds=older_than_seconds)
        return tuple((await self.call(self.stub.ListPrunable, request)).run_ids)

    async def prune(self, run_id: str) -> Pruned:
        """Remove a run's trials; its result is kept."""
        request = pb.PruneRunRequest(run_id=run_id)
        answer = await self.call(self.stub.PruneRun, request, _PRUNE_SECONDS)
        return Pruned(str(answer.run_id), int(answer.trials), int(answer.removed_at_unix_ns))

    async def runs(self, limit: int = 50) -> tuple[RunInfo, ...]:
        """The latest runs, latest first."""
        answer = await self.call(self.stub.ListRuns, pb.ListRunsRequest(limit=limit))
        return self.many(answer.runs, RunInfo)

    async def result(self, run_id: str) -> Result:
        """A run's result, as far as it has come."""
        answer = await self.call(self.stub.GetRun, pb.GetRunRequest(run_id=run_id), SLOW_SECONDS)
        with self.translated():
            return Result.model_validate_json(answer.result_json)

    async def trials(self, run_id: str) -> AsyncIterator[Sequence[TrialRow]]:
        """Every trial of a run in the order stored, in batches."""
        request = pb.ExportTrialsRequest(run_id=run_id)
        async for batch in self.stream(self.stub.ExportTrials, request, _EXPORT_SECONDS):
            yield self.many(batch.trials, TrialRow)

    async def _watch_once(self, run_id: str) -> AsyncIterator[Progress]:
        request = pb.WatchRunRequest(run_id=run_id)
        async for update in self.stream(self.stub.WatchRun, request):
            with self.translated():
                head = wire.from_message(update, _Head)
            hosts = self.many(update.hosts, HostProgress)
            yield Progress(
                run_id=head.run_id,
                state=head.state,
                hosts=hosts,
                problem=head.problem,
                queue_position=head.queue_position,
                behind=head.behind,
                start_skew_seconds=head.start_skew_seconds,
            )
