"""Rows of several hosts that are about one subject."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from collector.reports.rows import Kind
from collector.results.subjects import Key, Subjects


class Keyed(Protocol):
    """Anything that is about one subject on one host."""

    @property
    def key(self) -> Key:
        """Whose it is."""


K = TypeVar("K", bound=Keyed)


@dataclass(frozen=True, slots=True)
class Place:
    """A subject whatever the host, and what tells rows of it apart (a concurrency, a metric).

    Equal subjects of two targets (an A/A) stay apart by the target.
    """

    target_id: str
    kind: Kind
    part: Hashable = None


def by_subject(
    items: Iterable[K], subjects: Subjects, part: Callable[[K], Hashable] = lambda _: None
) -> dict[Place, list[K]]:
    """Items that differ by the host only, together, in the order in which they came."""
    places: dict[Key, Kind] = {}
    found: dict[Place, list[K]] = {}
    for item in items:
        kind = places.get(item.key) or places.setdefault(item.key, subjects.kind(item.key))
        found.setdefault(Place(item.key.target_id, kind, part(item)), []).append(item)
    return found


def without(hosts: Collection[str], items: Iterable[K]) -> list[K]:
    """The items but for those of ``hosts``."""
    return [item for item in items if item.key.host not in hosts]
