"""Hosts of one run begin together: none is released before all are prepared.

Telling a thousand hosts takes longer than they may begin apart. Each is therefore told in
how many seconds to begin, counted down to one moment, so that what is left between
them is the way of a message and not its place in the row.

A host that ends drops out of the wait, and so does one that takes too long: it
is released as soon as it is prepared. A release may be sent twice, so a
collector that takes over in the middle does the rest anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from collector.agents import Released
from collector.errors import NoSuchRun, TonnageError

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 0.5
# An agent waits for its release for so long from when it is prepared; the first one
# must not run out of it while the last one is waited for.
_SHARE = 0.5
# From the first release to the common beginning: enough to have told all of them.
_LEAD_SECONDS = 0.05
_LEAD_SECONDS_A_HOST = 0.001
_LEAD_SECONDS_MOST = 5.0


class Gate(Protocol):
    """What a barrier acts on."""

    async def release(self, host: str, begin_in_seconds: float) -> Released:
        """Let a host begin, so long from when it hears of it. Raises ``TonnageError``."""

    def late(self, host: str, seconds: float) -> None:
        """A host was not prepared within ``seconds`` of the first: no one waits for it."""

    async def began(self, skew_seconds: float) -> None:
        """All have begun, no further apart than this."""


class Barrier:
    """One run's. Hosts come in by ``add``, and events move them; ``run`` acts.

    ``only``: no collector before this one drove the run, so no host was released but here.
    """

    def __init__(
        self,
        gate: Gate,
        release_within_seconds: float,
        clock: Callable[[], float],
        *,
        only: bool = True,
    ) -> None:
        self._gate = gate
        self._patience = release_within_seconds * _SHARE
        self._clock = clock
        self._waiting: set[str] = set()
        self._ready: deque[str] = deque()
        self._lead_most = min(_LEAD_SECONDS_MOST, release_within_seconds * _SHARE / 2)
        self._moment = 0.0
        # When a host began at the earliest, and when at the latest.
        self._asked: dict[str, float] = {}
        self._answered: dict[str, float] = {}
        self._ended: set[str] = set()
        self._opened = False
        self._told: float | None = None
        self._only = only
        # Whether every release so far is this collector's: else their distance is not known.
        self._ours = True
        self._changed = asyncio.Event()

    def add(self, hosts: Iterable[str]) -> None:
        """Hosts that have not begun."""
        new = set(hosts)
        self._waiting |= new
        self._ended -= new

    def prepared(self, host: str) -> None:
        """A host is ready to begin."""
        if host in self._waiting:
            self._waiting.remove(host)
            self._ready.append(host)
            self._changed.set()

    def released(self, host: str) -> None:
        """A host has begun: if this is not the barrier's doing, then an earlier one's."""
        if host in self._asked:
            self._answered.setdefault(host, self._clock())  # should its answer never come
        else:
            self._ours = False
            self.ended(host)
        self._opened = True
        self._changed.set()

    def ended(self, host: str) -> None:
        """A host is not waited for any more."""
        self._ended.add(host)
        self._waiting.discard(host)
        if host in self._ready:
            self._ready.remove(host)
        self._changed.set()

    def close(self) -> None:
        """Release nobody any more: the run was cancelled."""
        for host in (*self._waiting, *self._ready, *self._asked):
            self.ended(host)

    async def run(self) -> None:
        """Release the hosts, for as long as there may be any."""
        await self._gather()
        self._opened = True
        lead = _LEAD_SECONDS + _LEAD_SECONDS_A_HOST * len(self._ready)
        self._moment = self._clock() + min(lead, self._lead_most)
        async with asyncio.TaskGroup() as group:
            while True:
                while self._ready:
                    host = self._ready.popleft()
                    self._asked.setdefault(host, self._clock())
                    group.create_task(self._let_go(host), name=f"release {host}")
                await self._tell_skew()
                self._changed.clear()
                await self._changed.wait()

    async def _gather(self) -> None:
        """Until all are prepared, or the time since the first is over."""
        while not (self._ready or self._opened):
            await self._next_change()
        try:
            async with asyncio.timeout(self._patience):
                while self._waiting and not self._opened:
                    await self._next_change()
        except TimeoutError:
            for host in sorted(self._waiting):
                _log.warning("not waited for", host=host, seconds=self._patience)
                self._gate.late(host, self._patience)

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _let_go(self, host: str) -> None:
        unanswered = False
        while host not in self._ended:
            sent = self._clock()
            try:
                released = await self._gate.release(host, max(self._moment - sent, 0.0))
            except NoSuchRun:
                self.ended(host)
            except TonnageError as error:
                unanswered = True
                _log.info("release is tried again", host=host, why=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                # Who released it before: a call of ours whose answer was lost, or another.
                mine = not released.before or (unanswered and self._only)
                self._ours = self._ours and mine
                if released.began_after_seconds is not None:
                    self._asked[host] = sent + released.began_after_seconds
                self._answered.setdefault(host, self._clock())
                self._changed.set()
                return

    async def _tell_skew(self) -> None:
        """The latest answer, less the earliest moment that a host may have begun: when it
        was asked, and later by what it says it let pass from then on."""
        open_hosts = self._waiting or set(self._asked) - set(self._answered) - self._ended
        if open_hosts or not self._ours or len(self._answered) <= 1:
            return
        skew = max(self._answered.values()) - min(self._asked[host] for host in self._answered)
        if skew != self._told:
            self._told = skew
            await self._gate.began(skew)
