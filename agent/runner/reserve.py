"""How much memory starts in flight may still take: what the memory guard cannot see yet.

A start that was just let through has not touched its memory. Each of many could so be told
that there is enough, and all of them together fall below the headroom.

A VM may touch all that it is given, whenever it likes. A container hardly comes near its
limit: for its kind counts the most that a start was seen to take, once enough were seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from agent.runner.holdings import Holding, Holdings
from agent.runtimes.base import Runtime
from tonnage.model import Accelerator, Target

# Available memory moves by other causes too: one reading may have missed what a start took.
_ENOUGH = 3

Kind = tuple[str, str, str, str, int]


class Growth:
    """How much memory starts were seen to take. Pure."""

    def __init__(self) -> None:
        self._seen: dict[Kind, list[int]] = {}

    def saw(self, target: Target, taken_bytes: int) -> None:
        """A start of the kind, on its way alone, took so much."""
        seen = self._seen.setdefault(_kind(target), [])
        seen.append(taken_bytes)
        if len(seen) > _ENOUGH:  # how many is known, the largest counts
            seen.remove(min(seen))

    def expected(self, target: Target, accelerator: Accelerator) -> int:
        """The most that one start may take: what was asked for, or less where a container's
        kind is known."""
        seen = self._seen.get(_kind(target), ())
        if accelerator is not Accelerator.NONE or len(seen) < _ENOUGH:
            return target.memory_bytes
        return max(0, min(max(seen), target.memory_bytes))


class Reserve:
    """Sums up what the starts in flight may take, and tells when one of them ends."""

    def __init__(
        self,
        runtimes: Mapping[str, Runtime],
        holdings: Holdings,
        available_bytes: Callable[[], int | None],
    ) -> None:
        """``available_bytes`` reads the host's available memory."""
        self._runtimes = runtimes
        self._holdings = holdings
        self._available_bytes = available_bytes
        self._growth = Growth()
        self._begun = 0
        self._ended = asyncio.Event()

    def total_bytes(self) -> int:
        """What all starts in flight may take together, as if they had taken nothing yet."""
        return sum(
            self.of(holding.target, holding.entry.trial.accelerator)
            for holding in self._holdings
            if holding.state == "starting" and holding.target is not None
        )

    def of(self, target: Target, accelerator: Accelerator) -> int:
        """What one start may take."""
        if not self._runtimes[target.runtime].capabilities.takes_memory:
            return 0
        return self._growth.expected(target, accelerator)

    async def ended(self, stopped: asyncio.Event) -> None:
        """Wait until a start in flight has become ready or is gone; no longer than until
        ``stopped``."""
        waits = [asyncio.create_task(event.wait()) for event in (self._ended, stopped)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    @contextmanager
    def during(self, holding: Holding) -> Iterator[None]:
        """The block is this holding's start: learn from it, and tell its end."""
        self._begun += 1
        number = self._begun
        before = self._available_bytes() if self._is_quiet_but_for(holding) else None
        try:
            yield
            if before is not None and number == self._begun and holding.state == "ready":
                self._learn(holding, before)
        finally:
            self._ended.set()
            self._ended = asyncio.Event()

    def _learn(self, holding: Holding, before: int) -> None:
        after = self._available_bytes()
        if after is not None and holding.target is not None and self._is_quiet_but_for(holding):
            self._growth.saw(holding.target, before - after)

    def _is_quiet_but_for(self, holding: Holding) -> bool:
        """Whether no other instance comes or goes."""
        return all(h is holding or h.state in ("ready", "orphaned") for h in self._holdings)


def _kind(target: Target) -> Kind:
    workload = target.workload
    return target.runtime, target.variant, workload.image, target.network, target.memory_bytes
