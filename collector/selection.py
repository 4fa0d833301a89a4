"""Which of the hosts there are an experiment runs on, and which not and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.errors import InvalidInput
from collector.spec import HostSelection
from collector.spec.expressions import Expression, ExpressionError, Labels
from collector.suitability import NO_HOST_REMEDY, few
from collector.views import HostInfo
from tonnage.model import RuntimeState

_REMEDY = (
    "See tonnage hosts. Start its agent, take a drained host back in with tonnage drain"
    " HOST --undo, or wait for hosts with hosts: {…, wait: 60s}."
)

_CONDITIONS_REMEDY = (
    "tonnage hosts lists their labels and runtimes; its --label and --where choose in the same way."
)


@dataclass(frozen=True, slots=True)
class Selected:
    """The hosts that take part, those that were meant but cannot, with why, and what is
    wrong with that, if anything is.

    ``waiting_helps``: whether hosts that come could mend it.
    """

    hosts: tuple[HostInfo, ...]
    unfit: tuple[tuple[str, str], ...]
    problem: InvalidInput | None
    waiting_helps: bool

    @property
    def missing(self) -> str:
        """Those that were meant but cannot, in words; empty if there are none."""
        return few([f"{name} ({why})" for name, why in self.unfit]) if self.unfit else ""


def select(wanted: HostSelection, hosts: Sequence[HostInfo]) -> Selected:
    """Return what is selected from ``hosts``, by name.

    Raises ``InvalidInput`` where the expression cannot be evaluated.
    """
    meant = matching(wanted, hosts)
    fit = tuple(host for host in meant if host.healthy)
    absent = set(wanted.names) - {host.facts.host for host in hosts}
    unfit = [(host.facts.host, _why(host)) for host in meant if not host.healthy]
    unfit += [(name, "has not registered") for name in absent]
    return _judged(wanted, fit, tuple(sorted(unfit)), known=len(hosts))


def matching(wanted: HostSelection, hosts: Sequence[HostInfo]) -> tuple[HostInfo, ...]:
    """Return the hosts that meet the conditions, whatever their state, by name.

    Raises ``InvalidInput`` where the expression cannot be evaluated.
    """
    expression = Expression(wanted.where) if wanted.where else None
    return tuple(
        host
        for host in sorted(hosts, key=lambda host: host.facts.host)
        if (not wanted.names or host.facts.host in wanted.names)
        and wanted.labels.items() <= dict(host.facts.labels).items()
        and (expression is None or holds(expression, host))
    )


def values(host: HostInfo) -> Mapping[str, Any]:
    """Return what an expression's names mean for ``host``."""
    facts = host.facts
    return {
        "name": facts.host,
        "state": host.state,
        "cpus": facts.cpus,
        "memory": facts.memory_bytes,
        "kernel": facts.kernel,
        "os": facts.os,
        "architecture": facts.architecture,
        "cgroup": facts.cgroup,
        "virtualization": facts.virtualization,
        "labels": Labels(facts.labels),
        "runtimes": [r.runtime for r in host.runtimes if r.state is RuntimeState.HEALTHY],
    }


def holds(expression: Expression, host: HostInfo, field: str = "hosts.where") -> bool:
    """Whether ``expression`` holds of ``host``; ``field`` is where it was written.

    Raises ``InvalidInput`` where it cannot be evaluated.
    """
    try:
        return expression.matches(values(host))
    except ExpressionError as error:
        raise InvalidInput(
            f"{error.message}, on host {host.facts.host}",
            field=field,
            value=expression.text,
            remedy=error.remedy,
        ) from error


def _why(host: HostInfo) -> str:
    if host.state == "draining":
        return "is draining"
    return f"is {host.state}: its agent does not renew its lease"


def _judged(
    wanted: HostSelection,
    fit: tuple[HostInfo, ...],
    unfit: tuple[tuple[str, str], ...],
    *,
    known: int,
) -> Selected:
    count, expect = len(fit), wanted.expect
    if expect is not None and count > expect:
        return Selected(fit, unfit, _too_many(fit, expect), waiting_helps=False)
    short = expect is not None and count < expect
    named = expect is None and bool(wanted.names) and bool(unfit)
    if count and not short and not named:
        return Selected(fit, unfit, None, waiting_helps=False)
    problem = _too_few(wanted, fit, unfit, known) if known else _nobody()
    return Selected(fit, unfit, problem, waiting_helps=True)


def _too_many(fit: Sequence[HostInfo], expect: int) -> InvalidInput:
    return InvalidInput(
        f"{len(fit)} hosts are selected: {few([host.facts.host for host in fit])}",
        field="hosts.expect",
        value=str(expect),
        remedy="Select fewer with names, labels or where, or expect as many.",
    )


def _too_few(
    wanted: HostSelection,
    fit: Sequence[HostInfo],
    unfit: Sequence[tuple[str, str]],
    known: int,
) -> InvalidInput:
    there = few([host.facts.host for host in fit])
    not_there = "; ".join(f"{name} {why}" for name, why in unfit[:10])
    more = f"; and {len(unfit) - 10} more" if len(unfit) > 10 else ""
    lacking = f"; {not_there}{more}" if unfit else ""
    if wanted.expect is not None:
        return InvalidInput(
            f"{len(fit)} of {wanted.expect} hosts can take part: {there}{lacking}",
            field="hosts.expect",
            value=str(wanted.expect),
            remedy=_REMEDY,
        )
    if wanted.names and unfit:
        name, why = unfit[0]
        return InvalidInput(
            f"host {name} {why}" if len(unfit) == 1 else f"{not_there}{more}",
            field="hosts",
            value=name if len(unfit) == 1 else "",
            remedy=_REMEDY,
        )
    if not unfit:
        none = f"no host meets the conditions, of {known} that have registered"
        return InvalidInput(none, field="hosts", remedy=_CONDITIONS_REMEDY)
    return InvalidInput(f"no healthy host is selected{lacking}", field="hosts", remedy=_REMEDY)


def _nobody() -> InvalidInput:
    return InvalidInput("no healthy host is registered", remedy=NO_HOST_REMEDY)
