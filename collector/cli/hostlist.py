"""Which hosts a list shows, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collector.cli import screen
from collector.errors import InvalidInput
from collector.selection import holds
from collector.spec.expressions import Expression, ExpressionError
from collector.views import HostInfo
from tonnage.model import RuntimeState

_COLUMNS = ("HOST", "STATE", "AGENT", "CPUS", "MEMORY", "LABELS", "ADDRESS", "LAST SEEN")
_WIDE = ("KERNEL", "OS", "ARCH", "CGROUP", "VIRT", "PROTOCOL", "METRICS")


@dataclass(frozen=True, slots=True)
class Filters:
    """What a host must be to be shown; every condition holds."""

    states: frozenset[str]
    labels: frozenset[tuple[str, str]]
    runtimes: frozenset[str]
    where: Expression | None

    @classmethod
    def read(
        cls, states: Sequence[str], labels: Sequence[str], runtimes: Sequence[str], where: str
    ) -> Filters:
        """From flags. Raises ``InvalidInput``."""
        return cls(
            frozenset(map(str, states)),
            frozenset(map(_label, labels)),
            frozenset(runtimes),
            _expression(where) if where else None,
        )

    def apply(self, hosts: Sequence[HostInfo]) -> list[HostInfo]:
        """The hosts that fit. Raises ``InvalidInput`` where the expression fails."""
        return [host for host in hosts if self._fits(host)]

    def _fits(self, host: HostInfo) -> bool:
        usable = {r.runtime for r in host.runtimes if r.state is RuntimeState.HEALTHY}
        return (
            (not self.states or host.state in self.states)
            and self.labels <= set(host.facts.labels.items())
            and self.runtimes <= usable
            and (self.where is None or holds(self.where, host, "--where"))
        )


def columns(*, wide: bool) -> Sequence[str]:
    """The columns of the list."""
    return (*_COLUMNS, *_WIDE) if wide else _COLUMNS


def row(host: HostInfo, collector_version: str, *, wide: bool) -> tuple[object, ...]:
    """A host in the list; ``*`` marks an agent of another version than the collector's."""
    facts = host.facts
    other = "" if facts.agent_version == collector_version else "*"
    usual = (
        facts.host,
        f"{host.state}, draining" if host.draining and host.state != "draining" else host.state,
        f"{facts.agent_version}{other}",
        facts.cpus,
        f"{facts.memory_bytes / 2**30:.1f} GiB",
        ",".join(f"{name}={value}" for name, value in sorted(facts.labels.items())) or "-",
        host.address,
        screen.moment(host.last_seen_unix_ns),
    )
    if not wide:
        return usual
    return (
        *usual,
        facts.kernel,
        facts.os,
        facts.architecture,
        facts.cgroup,
        facts.virtualization or "-",
        host.protocol,
        host.metrics_address or "-",
    )


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidInput(
            "is not of the form NAME=VALUE",
            field="--label",
            value=text,
            remedy="For example --label rack=a.",
        )
    return name, value


def _expression(text: str) -> Expression:
    try:
        return Expression(text)
    except ExpressionError as error:
        raise InvalidInput(
            error.message, field="--where", value=text, remedy=error.remedy
        ) from error
