"""What may be asked of a runtime whose instances have no network: refusals before anything
is started."""

from __future__ import annotations

from agent.errors import InvalidInput
from agent.runtimes.base import Capabilities
from tonnage.model import ConsoleHealth, LogReadiness, Target, Workload

_MEBIBYTE = 1 << 20


def check_target(target: Target, offers: Capabilities) -> None:
    """Raise ``InvalidInput`` for anything in a launch that the runtime does not offer."""
    check_workload(target.workload)
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
    _check_size(target)


def check_workload(workload: Workload) -> None:
    """Raise ``InvalidInput`` for a readiness or health check that needs a network."""
    if not isinstance(workload.readiness, LogReadiness):
        raise InvalidInput(
            "an instance without a network answers no connection",
            field="workload.readiness",
            value=type(workload.readiness).__name__.removesuffix("Readiness").lower(),
            remedy="Use log: a line that the workload prints when it is ready.",
        )
    if not isinstance(workload.health, ConsoleHealth | None):
        raise InvalidInput(
            "an instance without a network answers no connection",
            field="workload.health",
            value=type(workload.health).__name__.removesuffix("Health").lower(),
            remedy="Use console: a question on the console and its answer.",
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
