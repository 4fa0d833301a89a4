"""One instance, launched by hand through the collector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

from collector.cli.reading import read
from collector.client import Client
from collector.errors import InvalidInput
from collector.planner import Host, check, short_name
from collector.spec.units import Deadline, InstanceMemory
from collector.suitability import NO_HOST_REMEDY
from collector.views import HostInfo, Launched
from tonnage.model import LogReadiness, Mode, Network, Target, Workload


@dataclass(frozen=True, slots=True)
class Order:
    """What to launch, as typed."""

    runtime: str
    image: str
    memory: str
    cpus: int
    network: str
    variant: str
    ready: str
    timeout: str


async def launch(client: Client, order: Order, host: str) -> Launched:
    """Launch what is ordered on ``host``, or on the only one. Raises ``TonnageError``."""
    timeout = read(Deadline, "--timeout", order.timeout)
    chosen = _choose(await client.hosts(), host)
    target = _target(order, chosen)
    check(target, Host(chosen.facts.host, chosen.runtimes, chosen.facts))
    return await client.launch(chosen.facts.host, target, timeout)


def _choose(hosts: tuple[HostInfo, ...], name: str) -> HostInfo:
    matching = [host for host in hosts if host.healthy and name in ("", host.facts.host)]
    if len(matching) == 1:
        return matching[0]
    known = ", ".join(host.facts.host for host in hosts if host.healthy)
    if matching:
        message = f"{len(matching)} hosts are healthy"
        raise InvalidInput(message, field="--host", remedy=f"Name one of: {known}.")
    if not known:
        raise InvalidInput("no healthy host is registered", remedy=NO_HOST_REMEDY)
    remedy = f"Healthy hosts: {known}."
    raise InvalidInput("no such healthy host", field="--host", value=name, remedy=remedy)


def _target(order: Order, host: HostInfo) -> Target:
    offered = next((r.variants for r in host.runtimes if r.runtime == order.runtime), ())
    return Target(
        id="manual",
        runtime=order.runtime,
        variant=order.variant or (offered or ("default",))[0],
        mode=Mode.WARM,
        network=read(Network, "--network", order.network),
        workload=Workload(
            name=short_name(order.image),
            image=read(_Line, "IMAGE", order.image),
            readiness=LogReadiness(read(_Line, "--ready", order.ready)),
        ),
        memory_bytes=read(InstanceMemory, "--memory", order.memory),
        cpus=order.cpus,
    )


_Line = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\r\n\x00]+$")]
