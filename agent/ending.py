"""How an agent is told to end."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ending:
    """When the agent is to end, and when it is not to wait for anybody any more."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hurried: asyncio.Event = field(default_factory=asyncio.Event)


def ending_on_signals() -> Ending:
    """Asked by the first signal, hurried by any after it."""
    ending = Ending()

    def told() -> None:
        (ending.hurried if ending.asked.is_set() else ending.asked).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    return ending
