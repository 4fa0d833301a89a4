"""The memory floor: the smallest memory in which a target still becomes ready.

The search is a bisection in whole MiB. A size holds if all of its launches, one after the
other, become ready; the first that does not ends the size. The upper bound is tried first:
if it does not hold, there is nothing to search in. Then the lower bound: if that holds, the
floor may lie below and is told as at most that. Between a size that held and a smaller one
that did not, the middle is tried, until they are a MiB apart. The search takes a larger
size to hold wherever a smaller one does.
"""

from __future__ import annotations

from agent.experiments.base import (
    Answered,
    Destroyed,
    ExperimentEvent,
    Finish,
    Instruction,
    Launch,
    Measured,
    Record,
    Stopped,
    TrialDone,
)
from agent.experiments.ledger import Ledger, failure
from tonnage.model import (
    MemoryFloor,
    MemoryFloorStage,
    MemoryLevel,
    Outcome,
    Population,
    Problem,
    ProblemKind,
    Trial,
)

MEBIBYTE = 1 << 20


class MemoryFloorSearch:
    """The memory floor experiment as a state machine."""

    def __init__(self, stage_id: str, stage: MemoryFloorStage) -> None:
        self._stage_id = stage_id
        self._stage = stage
        self._low_mib = stage.low_bytes // MEBIBYTE
        self._high_mib = stage.high_bytes // MEBIBYTE
        self._held_mib: int | None = None
        self._failed_mib: int | None = None
        self._size_mib = self._high_mib
        self._ready = 0
        self._launched = 0
        self._levels: list[MemoryLevel] = []
        self._ledger = Ledger()
        self._problem: Problem | None = None
        self._ending = False
        self._finished = False

    @property
    def trials_expected(self) -> int:
        """Not known beforehand: a size that does not hold takes fewer launches."""
        return 0

    def start(self) -> list[Instruction]:
        """Try the upper bound."""
        return self._launch()

    def handle(self, event: ExperimentEvent) -> list[Instruction]:
        """Answer an event; late ones, after ``Finish``, change nothing."""
        if self._finished:
            return []
        match event:
            case TrialDone(trial):
                return self._done(trial)
            case Destroyed(trial_id):
                self._ledger.gone(trial_id)
                return self._go_on()
            case Measured() | Answered():
                return []
            case Stopped(_, message):
                text = f"The search was cut short: {message}"
                return self._end(Problem(ProblemKind.GUARD, text))

    def _launch(self) -> list[Instruction]:
        order = Launch(
            f"{self._stage_id}/{self._size_mib:06d}/{self._launched}",
            self._stage.target_id,
            Population.PROBE,
            number=self._launched,
            block=len(self._levels),
            memory_bytes=self._size_mib * MEBIBYTE,
        )
        self._launched += 1
        return self._ledger.launch(iter((order,)), 1)

    def _done(self, trial: Trial) -> list[Instruction]:
        self._ledger.done(trial)
        if self._ending:
            return self._wind_down()
        if trial.outcome is Outcome.READY:
            self._ready += 1
            return self._ledger.destroy([trial.trial_id])
        if self._size_mib == self._high_mib:
            self._level(trial.error)
            return self._end(failure(trial))
        return self._level_done(trial.error)

    def _go_on(self) -> list[Instruction]:
        """An instance is gone: launch the next of this size, or go to the next size."""
        if self._ending:
            return self._wind_down()
        if self._ready < self._stage.launches:
            return self._launch()
        return self._level_done("")

    def _level_done(self, error: str) -> list[Instruction]:
        if self._level(error):
            self._held_mib = self._size_mib
        else:
            self._failed_mib = self._size_mib
        size_mib = self._next()
        if size_mib is None:
            return self._end(None)
        self._size_mib, self._ready, self._launched = size_mib, 0, 0
        return self._launch()

    def _level(self, error: str) -> bool:
        """Note the size that was tried; whether it held."""
        size_bytes = self._size_mib * MEBIBYTE
        self._levels.append(MemoryLevel(size_bytes, self._launched, self._ready, error))
        return self._ready >= self._stage.launches

    def _next(self) -> int | None:
        """The size to try next, in MiB; ``None`` once the floor is known."""
        held, failed = self._held_mib, self._failed_mib
        if held is None or held == self._low_mib:
            return None
        if failed is None:
            return self._low_mib
        return (held + failed) // 2 if held - failed > 1 else None

    def _end(self, problem: Problem | None) -> list[Instruction]:
        if not self._ending:
            self._ending = True
            self._problem = problem
        return self._wind_down()

    def _wind_down(self) -> list[Instruction]:
        issued = self._ledger.destroy(self._ledger.live)
        if self._ledger.in_flight:
            return issued
        self._finished = True
        return [*issued, Record(self._result()), Finish(self._problem)]

    def _result(self) -> MemoryFloor:
        floor = self._held_mib if self._problem is None else None
        return MemoryFloor(
            self._stage_id,
            floor * MEBIBYTE if floor is not None else None,
            tuple(self._levels),
            bounded=floor is not None and floor == self._low_mib,
        )
