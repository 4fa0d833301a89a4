"""Counts the calls of the contract by how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from collector.model import AUDIT_OK
from collector.server.statuses import status_of_any
from tonnage.surrounding import Call, Surrounding

_CANCELLED = "CANCELLED"


class CallCount(Surrounding):
    """Tells ``ended`` of each call: its method, and ``ok`` or the status it ended with."""

    def __init__(self, ended: Callable[[str, str], None]) -> None:
        self._ended = ended

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """See ``Surrounding``."""
        outcome = AUDIT_OK
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            outcome = _CANCELLED
            raise
        except Exception as error:
            outcome = status_of_any(error).name
            raise
        finally:
            if call.ours:
                self._ended(call.name, outcome)
