"""Hosts: they register, are listed, drained and forgotten."""

from __future__ import annotations

import os
from pathlib import Path

from collector.errors import TonnageError
from collector.fleet import Registration, check_protocol
from collector.server.calls.parts import Calls, Context, Parts
from collector.views import HeldRun, HostInfo
from tonnage import __version__, wire
from tonnage.model import Fingerprint, HostFacts, RunState
from tonnage.v1 import collector_pb2 as pb

_PATH = Path("/proc/sys/kernel/random/boot_id")
_BOOT_ID = _PATH.read_text().strip() if _PATH.exists() else ""


class HostCalls(Calls):
    """Hosts."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        # What each host registered last, but for its runs: the same again needs no reading.
        self._told: dict[str, pb.RegisterRequest] = {}

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:
        """See the contract."""
        held = [HeldRun(run.run_id, run.last_sequence, run.finished) for run in request.runs]
        request.ClearField("runs")
        host = request.facts.host
        if self._told.get(host) != request or not self.parts.fleet.renew(host):
            check_protocol(request.protocol, host, request.facts.agent_version)
            self.parts.fleet.register(_registration(request))
            self._told[host] = request
        if held:
            await self.parts.conductor.returned(host, held)
        return pb.RegisterResponse(
            lease_seconds=self.parts.fleet.lease_seconds,
            collector_pid=os.getpid(),
            collector_boot_id=_BOOT_ID,
            revoked_serials=self.parts.access.revoked_serials(),
            scrape_token_sha256=self.parts.access.scrape_token_hashes(),
            collector_version=__version__,
        )

    async def ListHosts(
        self, request: pb.ListHostsRequest, context: Context
    ) -> pb.ListHostsResponse:
        """See the contract."""
        hosts = [wire.filled(pb.HostInfo(), host) for host in self.parts.fleet.hosts()]
        return pb.ListHostsResponse(hosts=hosts, collector_version=__version__)

    async def DrainHost(
        self, request: pb.DrainHostRequest, context: Context
    ) -> pb.DrainHostResponse:
        """See the contract."""
        await self.parts.fleet.drain(request.host, not request.undo)
        active = await self._active_run(self.parts.fleet.get(request.host))
        return pb.DrainHostResponse(active_run_id=active)

    async def ForgetHost(
        self, request: pb.ForgetHostRequest, context: Context
    ) -> pb.ForgetHostResponse:
        """See the contract."""
        await self.parts.fleet.forget(request.host)
        self._told.pop(request.host, None)
        return pb.ForgetHostResponse()

    async def _active_run(self, host: HostInfo) -> str:
        """What the agent works on, or where it does not answer, what it was last known to."""
        name = host.facts.host
        try:
            found = await self.parts.fleet.agent(name, host.address).describe(refresh=False)
        except TonnageError:
            for run in await self.parts.store.unfinished_runs():
                hosts = await self.parts.store.host_runs(run.run_id, name)
                if any(host.state is RunState.RUNNING for host in hosts):
                    return run.run_id
            return ""
        return found.active_run_id


def _registration(request: pb.RegisterRequest) -> Registration:
    return Registration(
        facts=wire.from_message(request.facts, HostFacts),
        runtimes=tuple(wire.from_message(item, Fingerprint) for item in request.runtimes),
        address=request.address,
        metrics_address=request.metrics_address,
        metrics_tls=request.metrics_tls,
        protocol=request.protocol,
    )
