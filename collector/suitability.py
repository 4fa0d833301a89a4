"""Whether a host can launch what is asked for, and if not, the way out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from collector.errors import InvalidInput
from collector.spec.units import Size
from tonnage.model import (
    Fingerprint,
    Health,
    HostFacts,
    HttpHealth,
    HttpReadiness,
    Mode,
    Network,
    Readiness,
    RuntimeState,
    Target,
    TcpReadiness,
    go_together,
)

_FEW = 10
_SIZE = Size("0B", "64TiB")

NO_HOST_REMEDY = (
    "An agent that runs registers again within 15 s of the collector's start; "
    "else start one with tonnage-agent --collector HOST:PORT."
)
"""The way out where the collector knows no host: it may itself have just begun."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host that can take part: what its agent reported last."""

    name: str
    runtimes: tuple[Fingerprint, ...]
    facts: HostFacts


def check(target: Target, host: Host, where: str = "") -> None:
    """Raise ``InvalidInput`` if ``host`` cannot launch ``target``; ``where`` is its
    place in the spec, empty for a launch by hand."""
    runtime = _runtime(target.runtime, host, f"{where}runtime")
    offers = (
        ("variant", target.variant, runtime.variants or ("default",)),
        ("network", target.network, runtime.networks),
        ("mode", target.mode, runtime.modes),
    )
    for field, value, offered in offers:
        if value not in offered:
            raise _lacking(f"{where}{field}", str(value), host, target, offered)
    _check_variant(target, f"{where}variant", runtime.variants)
    _check_memory(target, host, f"{where}memory")
    _check_cpus(target, host, f"{where}cpus")
    _check_access(target, host, runtime)


def _runtime(name: str, host: Host, field: str) -> Fingerprint:
    known = {runtime.runtime: runtime for runtime in host.runtimes}
    healthy = [r.runtime for r in host.runtimes if r.state is RuntimeState.HEALTHY]
    usable = f"Usable there: {few(healthy)}."
    if name not in known:
        close = get_close_matches(name, known, n=1)
        message = f"host {host.name} has no such runtime"
        guess = f"Did you mean {close[0]}? {usable}" if close else ""
        remedy = guess or f"{usable}{_instead(name, field)}"
        raise InvalidInput(message, field=field, value=name, remedy=remedy)
    found = known[name]
    if found.state is not RuntimeState.HEALTHY:
        reason = found.reason.rstrip(".")
        message = f"is {found.state} on host {host.name}: {reason}"
        remedy = f"{usable}{_instead(name, field)}"
        raise InvalidInput(message, field=field, value=name, remedy=remedy)
    return found


def _instead(runtime: str, field: str) -> str:
    """In an experiment file, hosts can be chosen by what they can run."""
    if field == "runtime":
        return ""
    return f" To leave such hosts out: hosts: {{where: \"'{runtime}' in runtimes\"}}."


def _lacking(
    field: str, value: str, host: Host, target: Target, offered: Sequence[str]
) -> InvalidInput:
    kind = field.rsplit(".", 1)[-1]
    message = f"{target.runtime} on host {host.name} does not offer this {kind}"
    return InvalidInput(message, field=field, value=value, remedy=f"Offered: {few(offered)}.")


def first_variant(runtime: Fingerprint, mode: Mode) -> str:
    """The variant of a target that names none."""
    fitting = (name for name in runtime.variants if go_together(name, mode))
    return next(fitting, "") or next(iter(runtime.variants), "default")


def _check_variant(target: Target, field: str, offered: Sequence[str]) -> None:
    if go_together(target.variant, target.mode):
        return
    fitting = [name for name in offered if go_together(name, target.mode)]
    message = f"mode {target.mode} has other variants: how a start begins decides what there are"
    raise InvalidInput(
        message, field=field, value=target.variant, remedy=f"Use {few(fitting)}, or another mode."
    )


def _check_memory(target: Target, host: Host, field: str) -> None:
    total = host.facts.memory_bytes
    if target.memory_bytes > total:
        raise InvalidInput(
            f"host {host.name} has only {total / 2**30:.1f} GiB of memory",
            field=field,
            value=_SIZE.write(target.memory_bytes),
            remedy=f"Ask for less, for example {_SIZE.write(_half(total))}.",
        )


def _half(total_bytes: int) -> int:
    """The largest power of two up to half of ``total_bytes``."""
    return int(1 << max(total_bytes // 2, 1).bit_length() - 1)


def _check_cpus(target: Target, host: Host, field: str) -> None:
    has = host.facts.cpus
    if target.cpus > has:
        raise InvalidInput(
            f"host {host.name} has only {has} CPU{'' if has == 1 else 's'}",
            field=field,
            value=str(target.cpus),
            remedy=f"Ask for {has} or fewer." if has > 1 else "Ask for 1.",
        )


def _check_access(target: Target, host: Host, runtime: Fingerprint) -> None:
    """Refuse TCP and HTTP checks where nothing of the workload could be reached."""
    rules = (
        ("readiness", _kind(target.workload.readiness), "readiness: {log: TEXT}"),
        ("health", _kind(target.workload.health), "health: {console: {ask: …, answer: …}}"),
    )
    for field, kind, instead in rules:
        if kind not in ("tcp", "http"):
            continue
        place = f"workload {target.workload.name}, {field}"
        if kind not in runtime.readiness:
            message = f"{target.runtime} on host {host.name} cannot be asked over {kind}"
            http = f"{field}: {{http: {{port: …}}}} or " if "http" in runtime.readiness else ""
            raise InvalidInput(message, field=place, value=kind, remedy=f"Use {http}{instead}.")
        if target.network is Network.NONE:
            message = f"an instance with network none cannot be asked over {kind}"
            remedy = f"Use {instead}{_or_a_network(target, runtime)}."
            raise InvalidInput(message, field=place, value=kind, remedy=remedy)


def _or_a_network(target: Target, runtime: Fingerprint) -> str:
    """How a target comes by a network, where it can: what is restored has none."""
    offered = [name.value for name in runtime.networks if name is not Network.NONE]
    if not offered or target.mode is Mode.RESTORE:
        return ""
    return f", or give target {target.id} network: {' or '.join(offered)}"


def _kind(rule: Readiness | Health | None) -> str:
    if isinstance(rule, TcpReadiness):
        return "tcp"
    return "http" if isinstance(rule, HttpReadiness | HttpHealth) else ""


def few(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(names[:_FEW]) or "none"
    return f"{shown} and {len(names) - _FEW} more" if len(names) > _FEW else shown
