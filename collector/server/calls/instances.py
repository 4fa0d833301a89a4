"""Single instances, by hand, and what is left over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from collector.agents import Agent
from collector.errors import NoSuchInstance, TonnageError
from collector.server.calls.parts import Calls, Context, Parts
from collector.server.stopping import RedButton
from collector.suitability import Host, check
from collector.views import HostCleaning, HostInfo, HostKilled
from tonnage import wire
from tonnage.model import Target
from tonnage.v1 import collector_pb2 as pb

T = TypeVar("T")


class InstanceCalls(Calls):
    """Instances."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._red_button = RedButton(parts.fleet, parts.conductor)

    async def LaunchInstance(
        self, request: pb.LaunchInstanceRequest, context: Context
    ) -> pb.LaunchInstanceResponse:
        """See the contract."""
        host = self.parts.fleet.get(request.host)
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
        await self._agent(self.parts.fleet.get(host)).destroy(request.instance_id)
        return pb.CollectorServiceDestroyInstanceResponse(host=host)

    async def CleanHosts(
        self, request: pb.CleanHostsRequest, context: Context
    ) -> pb.CleanHostsResponse:
        """See the contract."""
        answers, unreached = await self._ask_all(request.host, Agent.clean)
        cleaned = [wire.filled(pb.HostCleaning(), cleaning) for cleaning in answers.values()]
        return pb.CleanHostsResponse(hosts=cleaned, unreached=unreached)

    async def StopAll(
        self, request: pb.CollectorServiceStopAllRequest, context: Context
    ) -> AsyncIterator[pb.CollectorServiceStopAllResponse]:
        """See the contract."""
        async for stopped in self._red_button.press(request.host):
            response = pb.CollectorServiceStopAllResponse(host=stopped.host)
            match stopped.answer:
                case HostKilled():
                    wire.filled(response.killed, stopped.answer)
                case HostCleaning():
                    wire.filled(response.removed, stopped.answer)
                case problem:
                    wire.filled(response.problem, problem)
            yield response

    def _agent(self, host: HostInfo) -> Agent:
        return self.parts.fleet.agent(host.facts.host, host.address)

    async def _ask_all(
        self, name: str, question: Callable[[Agent], Awaitable[T]]
    ) -> tuple[dict[str, T], list[str]]:
        """Ask one host, or all; the answers by host, and those that gave none.

        A host that was named must answer.
        """
        if name:
            return {name: await question(self._agent(self.parts.fleet.get(name)))}, []
        hosts = self.parts.fleet.hosts()
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
