"""Writes without which a run cannot go on: a disk that is full is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from collector.conductor.patience import Patience
from collector.errors import StoreError

_log = structlog.get_logger(__name__)


async def until_stored(write: Callable[[], Awaitable[None]], patience: Patience) -> None:
    """Write, again and again, until the store has taken it."""
    delay = patience.backoff_first
    while True:
        try:
            return await write()
        except StoreError as error:
            _log.warning("not stored; it is tried again", why=str(error))
        await asyncio.sleep(delay)
        delay = min(2 * delay, patience.backoff_most)
