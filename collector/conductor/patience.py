"""When to try again, and when to stop trying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collector.agents import AgentBusy
from collector.errors import SequenceGap, StoreError, TonnageError, Unreachable


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, in seconds.

    ``lost_after``: until a host that does not answer is given up.
    ``cancelled_after``: likewise, once its run was cancelled.
    ``busy_after``: for another run to leave a host.
    ``overtime``: beyond a plan's own time limit.
    ``backoff_first`` doubles with each try up to ``backoff_most``.
    ``look_every``: between two looks for runs that nobody drives.
    """

    lost_after: float = 300.0
    cancelled_after: float = 15.0
    busy_after: float = 3600.0
    overtime: float = 120.0
    backoff_first: float = 0.2
    backoff_most: float = 5.0
    look_every: float = 5.0


# A gap may be a batch that was lost on its way; one that comes back is a hole.
_GAPS = 3


class Trouble:
    """What has gone wrong since a host last moved on, by kind of trouble."""

    def __init__(self, patience: Patience, clock: Callable[[], float]) -> None:
        self._patience = patience
        self._clock = clock
        self.moved_on()

    def moved_on(self) -> None:
        """The host delivered something new: all is forgotten."""
        self._since: dict[str, float] = {}
        self._delay = self._patience.backoff_first
        self._gaps = 0

    def answered(self) -> None:
        """The host answered, whatever it does next: it is neither silent nor busy."""
        self._since.pop("silent", None)
        self._since.pop("busy", None)

    def delay(self) -> float:
        """Seconds to wait now; twice as long the next time, up to the bound."""
        now = self._delay
        self._delay = min(now * 2, self._patience.backoff_most)
        return now

    def too_long(self, error: TonnageError, *, cancelled: bool) -> bool:
        """Whether ``error`` comes when patience is at its end.

        For the collector's own store, as when its disk is full, there is no end of it:
        the agent keeps what it measured.
        """
        if isinstance(error, SequenceGap):
            self._gaps += 1
            return self._gaps >= _GAPS
        if isinstance(error, StoreError):
            return False
        if cancelled:
            return self._lasted("cancelled") >= self._patience.cancelled_after
        if isinstance(error, AgentBusy):
            return self._lasted("busy") >= self._patience.busy_after
        kind = "silent" if isinstance(error, Unreachable) else "other"
        return self._lasted(kind) >= self._patience.lost_after

    def _lasted(self, kind: str) -> float:
        now = self._clock()
        return now - self._since.setdefault(kind, now)
