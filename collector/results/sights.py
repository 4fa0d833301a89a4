"""Whether one place sees something of another, judged from what both told.

Three answers: seen, not seen, and not told. Something equal on both sides is no
proof of something shared: two guests are given the same name and address by the
same VMM. So what is shared is judged by the kernel's own names: the same namespace
(``net:[4026531840]``) of the same kernel (its boot id) is one thing; a namespace of
another kernel is another, whatever its number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from collector.reports.rows import Facet
from collector.results.told_inside import Facts


class Seen(NamedTuple):
    """``seen`` is ``None`` where what was told cannot say."""

    seen: bool | None
    evidence: str


@dataclass(frozen=True, slots=True)
class Place:
    """An instance with its mark, or the host without one."""

    name: str
    facts: Facts
    mark: str = ""


def processes(one: Place, other: Place) -> Seen:
    """The other's mark on a command line; who does not see its own has not looked."""
    lines = one.facts.processes
    if lines is None:
        return Seen(None, f"{one.name} told no processes")
    if not other.mark:
        return _by_namespace("pid", one, other)
    if shown := next((line for line in lines if other.mark in line), None):
        return Seen(True, f"{one.name} sees the process {shown.strip()!r} of {other.name}")
    if not any(one.mark in line for line in lines):
        return Seen(None, f"{one.name} does not see even its own process")
    return Seen(False, f"{one.name} sees {_processes(one)}, none of {other.name}")


def mounts(one: Place, other: Place) -> Seen:
    """A file of the other's in one's own tree, or one tree of mounts."""
    if not other.mark:
        return _by_namespace("mnt", one, other)
    files = one.facts.files
    if files is not None and other.mark in files:
        return Seen(True, f"{one.name} sees the file /tmp/{other.mark} of {other.name}")
    shared = _by_namespace("mnt", one, other)
    if shared.seen:
        return shared
    if files is None or one.mark not in files:
        return Seen(None, f"{one.name} does not see even its own file")
    return Seen(False, f"{one.name} has /tmp/{one.mark}, and no file of {other.name}")


def hostname(one: Place, other: Place) -> Seen:
    """The other's host name in one's own name space."""
    mine, theirs = one.facts.hostname, other.facts.hostname
    if mine is None or theirs is None:
        return Seen(None, "no host name was told")
    if mine != theirs:
        return Seen(False, f"{one.name} is called {mine}, {other.name} {theirs}")
    return _by_namespace("uts", one, other, f"both are called {mine}")


def network(one: Place, other: Place) -> Seen:
    """The other's network stack as one's own."""
    return _by_namespace("net", one, other, f"{one.name} has {_links(one)}")


FACETS: dict[Facet, Callable[[Place, Place], Seen]] = {
    "processes": processes,
    "mounts": mounts,
    "hostname": hostname,
    "network": network,
}


def _by_namespace(kind: str, one: Place, other: Place, more: str = "") -> Seen:
    tail = f"; {more}" if more else ""
    boots = one.facts.boot_id, other.facts.boot_id
    if None not in boots and boots[0] != boots[1]:
        return Seen(False, f"{one.name} and {other.name} have kernels of their own{tail}")
    mine, theirs = one.facts.namespace(kind), other.facts.namespace(kind)
    if mine is None or theirs is None:
        return Seen(None, f"no {kind} namespace was told{tail}")
    if mine != theirs:
        return Seen(False, f"{one.name} is in {mine}, {other.name} in {theirs}{tail}")
    if None in boots:
        return Seen(None, f"both told {mine}, and no boot id{tail}")
    return Seen(True, f"{one.name} and {other.name} are both in {mine}{tail}")


def _processes(place: Place) -> str:
    count = place.facts.process_count or len(place.facts.processes or ())
    return f"{count} process{'' if count == 1 else 'es'}"


def _links(place: Place) -> str:
    if place.facts.links is None:
        return "told no interfaces"
    names = [line.removeprefix(f"{i}: ").split(":")[0] for i, line in _numbered(place.facts.links)]
    return f"the interfaces {', '.join(names) or 'none'}"


def _numbered(links: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(line.partition(":")[0], line) for line in links]
