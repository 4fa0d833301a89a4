"""Hosts: they register, and are listed."""

from __future__ import annotations

import os
from pathlib import Path

from collector.server.calls.parts import Calls, Context
from tonnage import wire
from tonnage.model import Fingerprint, HostFacts
from tonnage.v1 import collector_pb2 as pb

_PATH = Path("/proc/sys/kernel/random/boot_id")
_BOOT_ID = _PATH.read_text().strip() if _PATH.exists() else ""


class HostCalls(Calls):
    """Hosts."""

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:
        """See the contract."""
        lease = self.parts.fleet.register(
            wire.from_message(request.facts, HostFacts),
            [wire.from_message(item, Fingerprint) for item in request.runtimes],
            request.address,
            request.metrics_address,
        )
        return pb.RegisterResponse(
            lease_seconds=lease, collector_pid=os.getpid(), collector_boot_id=_BOOT_ID
        )

    async def ListHosts(
        self, request: pb.ListHostsRequest, context: Context
    ) -> pb.ListHostsResponse:
        """See the contract."""
        hosts = [wire.filled(pb.HostInfo(), host) for host in self.parts.fleet.hosts()]
        return pb.ListHostsResponse(hosts=hosts)
