"""One question to the collector, asked and answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from collector.endpoint import Endpoint

if TYPE_CHECKING:
    from collector.client import Client

T = TypeVar("T")


def ask(collector: Endpoint, question: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, ask, leave. Raises ``TonnageError``."""
    from collector.cli import interrupts

    return interrupts.run(_asked(collector, question))


async def _asked(collector: Endpoint, question: Callable[[Client], Awaitable[T]]) -> T:
    from collector.client import Client

    async with Client(collector) as client:
        return await question(client)
