"""What lets a start through, or does not."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock, Mock

import pytest

from agent import guards
from agent.errors import GuardTripped
from agent.runner.starts import Starts
from tonnage.model import StopReason

FULL = GuardTripped("no room", StopReason.DISK_HEADROOM)
BUSY = GuardTripped("no memory", StopReason.MEMORY_HEADROOM)


@pytest.mark.parametrize(
    ("seen", "refused", "looks"), [([None], "", 1), ([FULL, None], "", 2), ([BUSY], "no memory", 1)]
)
async def test_a_disk_that_fills_between_two_looks_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, seen: list[GuardTripped | None], refused: str, looks: int
) -> None:
    """As one that is full at the first look is: its guard trips after much patience only."""
    work, tripped = Mock(), Mock()
    work.equipment.spool.room = AsyncMock(return_value=0.0)
    found = iter(seen)
    monkeypatch.setattr(guards, "check", lambda *_: next(found))
    starts = Starts(work, Mock(), asyncio.Event(), tripped)
    assert refused in await starts._refusal()
    assert work.equipment.spool.room.await_count == looks
    assert tripped.called is bool(refused)
