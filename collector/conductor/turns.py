"""The queue as those who wait in it see it: an event a place, and a word when it moves on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from collector.conductor.queue import Place, Queue


class Turns:
    """Hands out turns; see ``Queue`` for who gets them."""

    def __init__(self) -> None:
        self._queue = Queue()
        self._come: dict[Place, asyncio.Event] = {}
        self._told: dict[str, Callable[[], None]] = {}

    def enter(
        self, run_id: str, parties: Iterable[Iterable[str]], moved_on: Callable[[], None]
    ) -> None:
        """Put a run in line; the hosts of one party begin together.

        ``moved_on`` is called when fewer runs are before it.
        """
        self._told[run_id] = moved_on
        for hosts in parties:
            self._begin(self._queue.enter(run_id, hosts))

    def attach(self, run_id: str, host: str) -> None:
        """The host is at work on the run: no turn is waited for."""
        self._begin(self._queue.attach(run_id, host))
        self._tell(host)

    def come(self, run_id: str, host: str) -> asyncio.Event:
        """Set once the run may begin on this host."""
        return self._come.setdefault((run_id, host), asyncio.Event())

    def leave(self, run_id: str, host: str) -> None:
        """The run is done on this host, or waits no longer. Idempotent."""
        self._come.pop((run_id, host), None)
        self._begin(self._queue.leave(run_id, host))
        self._tell(host)

    def forget(self, run_id: str) -> None:
        """The run has left every host."""
        self._told.pop(run_id, None)

    def before(self, run_id: str) -> Sequence[str]:
        """The runs that this one waits for."""
        return self._queue.before(run_id)

    def _begin(self, places: Iterable[Place]) -> None:
        for run_id, host in places:
            self.come(run_id, host).set()

    def _tell(self, host: str) -> None:
        for run_id in self._queue.waiting(host):
            if run_id in self._told:  # not one that is left for the next start
                self._told[run_id]()
