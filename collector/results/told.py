"""Cautions as sentences, said once for all the hosts that they hold for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from collector.reports.names import some_of


@dataclass(frozen=True, slots=True)
class Told:
    """One caution: ``who`` on ``host`` and then ``rest``, which begins with its own comma
    or colon. Without ``who`` it is about the host, without ``host`` about the run."""

    rest: str
    host: str = ""
    who: str = ""


def joined(found: Iterable[Told]) -> list[str]:
    """Each caution once, with all its hosts, in the order in which they first came."""
    hosts: dict[tuple[str, str, bool], list[str]] = {}
    for told in found:
        of = hosts.setdefault((told.who, told.rest, bool(told.host)), [])
        if told.host and told.host not in of:
            of.append(told.host)
    return [_sentence(who, rest, of) for (who, rest, _), of in hosts.items()]


def _sentence(who: str, rest: str, hosts: list[str]) -> str:
    if not hosts:
        return f"{who}{rest}"
    where = some_of(hosts)
    return f"{who} on {where}{rest}" if who else f"{where}{rest}"
