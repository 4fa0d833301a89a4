"""Hosts and, by hand, single instances."""

from __future__ import annotations

from collector.client.connection import SLOW_SECONDS, Connection
from collector.views import (
    Cleaning,
    HostCleaning,
    HostInfo,
    HostInstance,
    Instances,
    Inventory,
    Launched,
)
from tonnage import wire
from tonnage.model import InstanceInfo, Target, Trial
from tonnage.v1 import collector_pb2 as pb


class Hosts(Connection):
    """What is asked about hosts."""

    async def hosts(self) -> tuple[HostInfo, ...]:
        """The hosts, by name."""
        answer = await self.call(self.stub.ListHosts, pb.ListHostsRequest())
        return self.many(answer.hosts, HostInfo)

    async def inventory(self) -> Inventory:
        """The hosts, and the version of the collector that knows them."""
        answer = await self.call(self.stub.ListHosts, pb.ListHostsRequest())
        return Inventory(self.many(answer.hosts, HostInfo), answer.collector_version)

    async def drain(self, host: str, *, undo: bool = False) -> str:
        """Take a host out of new runs, or back in; the run it still works on, if any."""
        request = pb.DrainHostRequest(host=host, undo=undo)
        return str((await self.call(self.stub.DrainHost, request)).active_run_id)

    async def forget(self, host: str) -> None:
        """Drop a host that no longer renews its lease."""
        await self.call(self.stub.ForgetHost, pb.ForgetHostRequest(host=host))

    async def launch(self, host: str, target: Target, ready_timeout_seconds: float) -> Launched:
        """Launch one instance by hand and wait until it is ready."""
        request = pb.LaunchInstanceRequest(
            host=host,
            target=wire.to_message(target),
            ready_timeout_seconds=ready_timeout_seconds,
        )
        seconds = ready_timeout_seconds + SLOW_SECONDS
        answer = await self.call(self.stub.LaunchInstance, request, seconds)
        with self.translated():
            return Launched(
                wire.from_message(answer.instance, InstanceInfo),
                wire.from_message(answer.trial, Trial),
            )

    async def instances(self, host: str = "") -> Instances:
        """The instances on one host, or on all."""
        request = pb.CollectorServiceListInstancesRequest(host=host)
        answer = await self.call(self.stub.ListInstances, request)
        return Instances(self.many(answer.instances, HostInstance), tuple(answer.unreached))

    async def destroy(self, instance_id: str, host: str = "") -> str:
        """Destroy one instance and return the host it was on."""
        request = pb.CollectorServiceDestroyInstanceRequest(host=host, instance_id=instance_id)
        return str((await self.call(self.stub.DestroyInstance, request, SLOW_SECONDS)).host)

    async def clean(self, host: str = "") -> Cleaning:
        """Remove what is left over, on one host or on all."""
        request = pb.CleanHostsRequest(host=host)
        answer = await self.call(self.stub.CleanHosts, request, SLOW_SECONDS)
        return Cleaning(self.many(answer.hosts, HostCleaning), tuple(answer.unreached))
