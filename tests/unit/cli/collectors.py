"""A collector with scripted answers, served over real gRPC on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc import aio

from tonnage import wire
from tonnage.model import Problem, RunState
from tonnage.problems import PROBLEM_KEY
from tonnage.v1 import collector_pb2 as pb
from tonnage.v1 import collector_pb2_grpc, model_pb2


def state(value: RunState) -> Any:
    return model_pb2.RunState.Value(f"RUN_STATE_{value.name}")


class Scripted(collector_pb2_grpc.CollectorServiceServicer):
    """Answers what its fields say, and notes what it was asked."""

    def __init__(self) -> None:
        self.problem: Problem | None = None
        self.code = grpc.StatusCode.INVALID_ARGUMENT
        self.progress: list[pb.WatchRunResponse] = []
        self.break_watch_after: int | None = None
        self.result_json = "{}"
        self.trials: list[pb.TrialRecord] = []
        self.cancelled: list[str] = []
        self.submitted: list[pb.SubmitRunRequest] = []
        self.hosts: list[pb.HostInfo] = []

    async def ListHosts(self, request: Any, context: Any) -> Any:
        await self._refuse(context)
        return pb.ListHostsResponse(hosts=self.hosts)

    async def ListRuns(self, request: Any, context: Any) -> Any:
        await self._refuse(context)
        return pb.ListRunsResponse(
            runs=[pb.RunInfo(run_id="r1", name="n", state=state(RunState.RUNNING), hosts=["h"])]
        )

    async def SubmitRun(self, request: Any, context: Any) -> Any:
        await self._refuse(context)
        self.submitted.append(request)
        return pb.SubmitRunResponse(run_id="r1")

    async def CancelRun(self, request: Any, context: Any) -> Any:
        self.cancelled.append(request.run_id)
        return pb.CollectorServiceCancelRunResponse(reached=["h"])

    async def GetRun(self, request: Any, context: Any) -> Any:
        await self._refuse(context)
        return pb.GetRunResponse(result_json=self.result_json)

    async def WatchRun(self, request: Any, context: Any) -> Any:
        for number, progress in enumerate(self.progress):
            if number == self.break_watch_after:
                self.break_watch_after = None
                await context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
            yield progress

    async def ExportTrials(self, request: Any, context: Any) -> Any:
        for record in self.trials:
            yield pb.ExportTrialsResponse(trials=[record])

    async def _unscripted(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not scripted")

    Register: Any = _unscripted
    LaunchInstance: Any = _unscripted
    ListInstances: Any = _unscripted
    DestroyInstance: Any = _unscripted
    CleanHosts: Any = _unscripted
    ResumeRun: Any = _unscripted
    DrainHost: Any = _unscripted
    ForgetHost: Any = _unscripted
    StopAll: Any = _unscripted
    RenewCertificate: Any = _unscripted
    CreateToken: Any = _unscripted
    ListTokens: Any = _unscripted
    RevokeToken: Any = _unscripted
    ListCertificates: Any = _unscripted
    RevokeCertificate: Any = _unscripted
    ListAudit: Any = _unscripted
    ListPrunable: Any = _unscripted
    PruneRun: Any = _unscripted

    async def _refuse(self, context: Any) -> None:
        if self.problem is not None:
            carried = wire.to_message(self.problem).SerializeToString()
            context.set_trailing_metadata(((PROBLEM_KEY, carried),))
            await context.abort(self.code, str(self.problem))


@asynccontextmanager
async def served(collector: Scripted) -> AsyncIterator[str]:
    """Serve it; gives its address."""
    server = aio.server()
    collector_pb2_grpc.add_CollectorServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
