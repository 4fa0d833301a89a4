"""One instance of somebody else's, as it was found."""

from __future__ import annotations

from dataclasses import dataclass

from agent.process import ProcessView


@dataclass(frozen=True, slots=True)
class Seen:
    """``key`` tells it from every other of its runtime, over time.

    ``running``: whether it has processes that hold memory. ``view`` is ``None`` for one
    that has none, and for one whose processes have not been found yet.
    """

    key: str
    state: str
    running: bool
    view: ProcessView | None = None
