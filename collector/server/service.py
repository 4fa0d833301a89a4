"""CollectorService over gRPC: unpacks requests, asks the parts, packs answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from grpc import aio

from collector.agents import Agent
from collector.conductor.conductor import Conductor
from collector.errors import NoSuchInstance, TonnageError
from collector.fleet import Fleet
from collector.server.outcomes import Outcomes
from collector.server.submission import Submission
from collector.stores.base import Store
from collector.suitability import Host, check
from collector.views import HostInfo, RunInfo
from tonnage import wire
from tonnage.model import Fingerprint, HostFacts, Target
from tonnage.v1 import collector_pb2 as pb
from tonnage.v1 import collector_pb2_grpc

Context = aio.ServicerContext[Any, Any]
T = TypeVar("T")

_BATCH = 500
_RUNS_SHOWN = 50
_RUNS_MOST = 1000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class CollectorServicer(collector_pb2_grpc.CollectorServiceServicer):
    """Every method raises ``TonnageError``; ``ErrorBorder`` makes statuses of them."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        conductor: Conductor,
        submission: Submission,
        outcomes: Outcomes,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._conductor = conductor
        self._submission = submission
        self._outcomes = outcomes
        self._boot_id = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:
        """See the contract."""
        lease = self._fleet.register(
            wire.from_message(request.facts, HostFacts),
            [wire.from_message(item, Fingerprint) for item in request.runtimes],
            request.address,
            request.metrics_address,
        )
        return pb.RegisterResponse(
            lease_seconds=lease, collector_pid=os.getpid(), collector_boot_id=self._boot_id
        )

    async def ListHosts(
        self, request: pb.ListHostsRequest, context: Context
    ) -> pb.ListHostsResponse:
        """See the contract."""
        hosts = [wire.filled(pb.HostInfo(), host) for host in self._fleet.hosts()]
        return pb.ListHostsResponse(hosts=hosts)

    async def SubmitRun(
        self, request: pb.SubmitRunRequest, context: Context
    ) -> pb.SubmitRunResponse:
        """See the contract."""
        run = await self._submission.submit(request.spec_json, request.request_token)
        return pb.SubmitRunResponse(run_id=run.run_id)

    async def WatchRun(
        self, request: pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunResponse]:
        """See the contract."""
        async for progress in self._conductor.watch(request.run_id):
            yield wire.filled(pb.WatchRunResponse(), progress)

    async def CancelRun(
        self, request: pb.CollectorServiceCancelRunRequest, context: Context
    ) -> pb.CollectorServiceCancelRunResponse:
        """See the contract."""
        told = await self._conductor.cancel(request.run_id)
        return wire.filled(pb.CollectorServiceCancelRunResponse(), told)

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
            )
            for run, hosts, trials in await self._store.list_runs(limit)
        ]
        return pb.ListRunsResponse(runs=[wire.filled(pb.RunInfo(), run) for run in runs])

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        """See the contract."""
        return pb.GetRunResponse(result_json=await self._outcomes.as_json(request.run_id))

    async def ExportTrials(
        self, request: pb.ExportTrialsRequest, context: Context
    ) -> AsyncIterator[pb.ExportTrialsResponse]:
        """See the contract."""
        run = await self._store.find_run(request.run_id)
        async with aclosing(self._store.trials(run.run_id, _BATCH)) as batches:
            async for batch in batches:
                yield pb.ExportTrialsResponse(
                    trials=[wire.filled(pb.TrialRecord(), row) for row in batch]
                )

    async def LaunchInstance(
        self, request: pb.LaunchInstanceRequest, context: Context
    ) -> pb.LaunchInstanceResponse:
        """See the contract."""
        host = self._fleet.get(request.host)
        target = wire.from_message(request.target, Target)
        check(target, Host(host.facts.host, host.runtimes, host.facts))
        launched = await self._agent(host).launch(target, request.ready_timeout_seconds)
        return wire.filled(pb.LaunchInstanceResponse(), launched)

    async def ListInstances(
        self, request: pb.CollectorServiceListInstancesRequest, context: Context
    ) -> pb.CollectorServiceListInstancesResponse:
        """See the contract."""
        answers, unreached = await self._ask_all(request.host, Agent.instances)
        return pb.CollectorServiceListInstancesResponse(
            instances=[
                pb.HostInstance(host=host, instance=wire.to_message(instance))
                for host, instances in answers.items()
                for instance in instances
            ],
            unreached=unreached,
        )

    async def DestroyInstance(
        self, request: pb.CollectorServiceDestroyInstanceRequest, context: Context
    ) -> pb.CollectorServiceDestroyInstanceResponse:
        """See the contract."""
        host = request.host or await self._host_of(request.instance_id)
        await self._agent(self._fleet.get(host)).destroy(request.instance_id)
        return pb.CollectorServiceDestroyInstanceResponse(host=host)

    async def CleanHosts(
        self, request: pb.CleanHostsRequest, context: Context
    ) -> pb.CleanHostsResponse:
        """See the contract."""
        answers, unreached = await self._ask_all(request.host, Agent.clean)
        cleaned = [wire.filled(pb.HostCleaning(), cleaning) for cleaning in answers.values()]
        return pb.CleanHostsResponse(hosts=cleaned, unreached=unreached)

    def _agent(self, host: HostInfo) -> Agent:
        return self._fleet.agent(host.facts.host, host.address)

    async def _ask_all(
        self, name: str, question: Callable[[Agent], Awaitable[T]]
    ) -> tuple[dict[str, T], list[str]]:
        """Ask one host, or all; the answers by host, and those that gave none.

        A host that was named must answer.
        """
        if name:
            return {name: await question(self._agent(self._fleet.get(name)))}, []
        hosts = self._fleet.hosts()
        answers = await asyncio.gather(
            *(question(self._agent(host)) for host in hosts), return_exceptions=True
        )
        given: dict[str, T] = {}
        unreached: list[str] = []
        for host, answer in zip(hosts, answers, strict=True):
            if isinstance(answer, TonnageError):
                unreached.append(host.facts.host)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                given[host.facts.host] = answer
        return given, unreached

    async def _host_of(self, instance_id: str) -> str:
        answers, unreached = await self._ask_all("", Agent.instances)
        for host, instances in answers.items():
            if any(instance.instance_id == instance_id for instance in instances):
                return host
        beyond = f" Not asked: {', '.join(unreached)}." if unreached else ""
        raise NoSuchInstance(
            "no host holds this instance",
            field="instance",
            value=instance_id,
            remedy=f"tonnage instances lists them.{beyond}",
        )
