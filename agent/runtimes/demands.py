"""What may be asked of a runtime whose instances have no address that others reach, but at
most ports that are forwarded to them: refusals before anything is started."""

from __future__ import annotations

from agent.errors import InvalidInput
from agent.runtimes.base import Capabilities
from tonnage.model import (
    HttpHealth,
    HttpReadiness,
    Network,
    Target,
    TcpReadiness,
    Workload,
)

_MEBIBYTE = 1 << 20


def check_target(target: Target, offers: Capabilities) -> None:
    """Raise ``InvalidInput`` for anything in a launch that the runtime does not offer."""
    check_workload(target.workload, offers)
    asked = (
        ("variant", target.variant, offers.variants),
        ("mode", str(target.mode), tuple(str(mode) for mode in offers.modes)),
        ("network", str(target.network), tuple(str(name) for name in offers.networks)),
    )
    for field, value, offered in asked:
        if value not in offered:
            raise InvalidInput(
                f"{target.runtime} does not offer this {field}",
                field=field,
                value=value,
                remedy=f"Use {' or '.join(offered)}.",
            )
    if target.network is Network.NONE:
        _check_without_network(target.workload, offers)
    _check_size(target)


def check_workload(workload: Workload, offers: Capabilities) -> None:
    """Raise ``InvalidInput`` for a readiness or health check that nothing here can answer."""
    if isinstance(workload.readiness, TcpReadiness) and Network.USER in offers.networks:
        raise InvalidInput(
            "a port that is forwarded answers for its forwarder, not for the workload",
            field="workload.readiness",
            value="tcp",
            remedy="Use http, or log: a line that the workload prints when it is ready.",
        )
    if Network.USER not in offers.networks:
        _check_without_network(workload, offers)


def _check_without_network(workload: Workload, offers: Capabilities) -> None:
    network = " Or use network: user." if Network.USER in offers.networks else ""
    if isinstance(workload.readiness, TcpReadiness | HttpReadiness):
        raise InvalidInput(
            "an instance without a network answers no connection",
            field="workload.readiness",
            value=type(workload.readiness).__name__.removesuffix("Readiness").lower(),
            remedy=f"Use log: a line that the workload prints when it is ready.{network}",
        )
    if isinstance(workload.health, HttpHealth):
        raise InvalidInput(
            "an instance without a network answers no connection",
            field="workload.health",
            value="http",
            remedy=f"Use console: a question on the console and its answer.{network}",
        )


def _check_size(target: Target) -> None:
    if target.memory_bytes < _MEBIBYTE:
        raise InvalidInput(
            "an instance needs memory of its own, in whole MiB",
            field="memory_bytes",
            value=str(target.memory_bytes),
            remedy="128 MiB is enough for a small workload.",
        )
    if target.cpus < 1:
        raise InvalidInput("an instance needs a processor", field="cpus", value=str(target.cpus))
