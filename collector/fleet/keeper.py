"""Writes the inventory to the store, behind the agents' backs: a registration waits for
no disk, and hosts that change at once are one transaction."""

from __future__ import annotations

import asyncio

import structlog

from collector.errors import StoreError
from collector.model import KnownHost
from collector.stores.base import HostStore

_log = structlog.get_logger(__name__)


class Keeper:
    """Holds what is yet to be written. ``run`` it, or ``flush`` by hand.

    What changed is written at once, when a host was last seen every ``every_seconds``.
    What a failing store did not take is tried again.
    """

    def __init__(self, store: HostStore, every_seconds: float) -> None:
        self.store = store
        self._every_seconds = every_seconds
        self._changed: dict[str, KnownHost] = {}
        self._seen: dict[str, int] = {}
        self._due = asyncio.Event()
        self._turn = asyncio.Lock()

    def changed(self, host: KnownHost) -> None:
        """A host is new, or another than it was."""
        self._changed[host.facts.host] = host
        self._due.set()

    def seen(self, host: str, at_unix_ns: int) -> None:
        """A host renewed its lease, and nothing else."""
        self._seen[host] = at_unix_ns

    async def forget(self, host: str) -> None:
        """Drop a host from the store, and what was yet to be written of it."""
        async with self._turn:
            self._changed.pop(host, None)
            self._seen.pop(host, None)
            await self.store.forget_host(host)

    async def flush(self) -> None:
        """Write what there is. Raises ``StoreError``; then it is still to be written."""
        async with self._turn:
            self._due.clear()
            changed, self._changed = self._changed, {}
            seen, self._seen = self._seen, {}
            try:
                if changed:
                    await self.store.put_hosts(tuple(changed.values()))
                    changed = {}
                await self.store.saw_hosts(seen)
            except BaseException:
                self._changed = {**changed, **self._changed}
                self._seen = {**seen, **self._seen}
                raise

    async def run(self) -> None:
        """Write as it comes, until cancelled; then once more."""
        try:
            while True:
                await self._rest()
                await self._try()
        finally:
            await self._try()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._every_seconds):
                await self._due.wait()
        except TimeoutError:
            return

    async def _try(self) -> None:
        try:
            await self.flush()
        except StoreError as error:
            _log.warning("the inventory could not be written; it is tried again", why=str(error))
