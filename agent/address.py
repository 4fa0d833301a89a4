"""Where an agent serves, and how others reach it."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from tonnage.address import Address, Place, host_and_port, is_unix


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where this agent serves; ``advertise`` is where it is to be dialled, if it was told."""

    listen: Place
    metrics: Address
    advertise: str = ""

    def towards(self, collector: str) -> tuple[str, str]:
        """Where a collector reaches service and metrics. Blocking: it may resolve a name.

        In place of a wildcard stands the address that this host has on the way to the
        collector. Raises ``OSError`` where there is no way.
        """
        if not self.listen.wildcard and not self.metrics.wildcard:
            return self.advertise or str(self.listen), str(self.metrics)
        host = host_and_port(self.advertise)[0] if self.advertise else _source(collector)
        return self.advertise or str(self.listen.at(host)), str(self.metrics.at(host))


def _source(collector: str) -> str:
    """The address from which this host reaches another; nothing is sent."""
    if is_unix(collector):
        return "127.0.0.1"
    try:
        host, port = host_and_port(collector)
    except ValueError as error:
        raise OSError(f"{collector!r} {error}") from error
    family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(target)
        return str(probe.getsockname()[0])
