"""The churn experiment: instances come and go at a rate, and their number stays.

The empty host is measured, filled with N instances and measured again. Then one
replacement after the other is launched, each at its scheduled time ``k / rate``
whatever became of those before it (open loop); when it is ready, the oldest
instance is destroyed, so N live at least. Now and then the host is measured
beside. At the end everything is destroyed and the empty host measured again:
what it holds then that it did not hold before is what churn left.

**Time.** The machine has no clock. It orders up to ``max_in_flight`` launches ahead,
each with the time at which it is due, and the runner makes each at its time; an
outcome makes room for the next order. So the schedule is open up to that many in
flight; beyond, launches are late, and each row says by how much.

**Readings** are taken with no removal under way: removals that fall due wait for
them, launches do not. An outcome that is not ready destroys nothing. A host on
which ``GIVE_UP_AFTER`` replacements in a row failed is given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

from agent.experiments.base import (
    Answered,
    Destroyed,
    ExperimentEvent,
    Finish,
    Instruction,
    Launch,
    Measure,
    Measured,
    Record,
    Stopped,
    TrialDone,
)
from agent.experiments.ledger import Ledger, failure
from tonnage.model import (
    ChurnPoint,
    ChurnReading,
    ChurnStage,
    Outcome,
    Population,
    Problem,
    ProblemKind,
    Trial,
)

GIVE_UP_AFTER = 10


def replacements(stage: ChurnStage) -> int:
    """How many the schedule has: those due within the duration, and one at least."""
    return max(1, round(stage.rate_per_second * stage.duration_seconds))


class _Phase(Enum):
    EMPTY = auto()
    FILLING = auto()
    FULL = auto()
    CHURNING = auto()
    LEAVING = auto()
    LEFT = auto()


class Churn:
    """The churn experiment as a state machine."""

    def __init__(self, stage_id: str, stage: ChurnStage) -> None:
        self._stage_id = stage_id
        self._stage = stage
        self._count = replacements(stage)
        self._phase = _Phase.EMPTY
        self._fill = self._fill_orders()
        self._orders = self._scheduled_orders()
        self._ledger = Ledger()
        self._starting = 0
        self._leaving = 0
        self._made = 0
        self._failures_in_a_row = 0
        self._due = 0
        self._reading_waits = False
        self._taken = 0
        self._readings = 0
        self._measuring = False
        self._ending = False
        self._finished = False
        self._problem: Problem | None = None

    @property
    def trials_expected(self) -> int:
        """The fill and every replacement."""
        return self._stage.instances + self._count

    def start(self) -> list[Instruction]:
        """Begin with the empty host."""
        return self._measure(self._stage.settle_seconds)

    def handle(self, event: ExperimentEvent) -> list[Instruction]:
        """Answer an event; late ones, after ``Finish``, change nothing."""
        if self._finished:
            return []
        match event:
            case TrialDone(trial):
                return self._done(trial)
            case Destroyed(trial_id):
                self._ledger.gone(trial_id)
                self._leaving -= 1
                return self._advance()
            case Measured():
                return self._measured(event) if self._measuring else []
            case Answered():
                return []
            case Stopped(_, message):
                return self._end(Problem(ProblemKind.GUARD, f"Churn was cut short: {message}"))

    # Orders

    def _fill_orders(self) -> Iterator[Launch]:
        for index in range(self._stage.instances):
            yield Launch(
                f"{self._stage_id}/fill/{index:04d}",
                self._stage.target_id,
                Population.FILL,
                index,
                concurrency=self._stage.concurrency,
                fill=len(self._ledger.live),
            )

    def _scheduled_orders(self) -> Iterator[Launch]:
        for number in range(self._count):
            yield Launch(
                f"{self._stage_id}/{number:05d}",
                self._stage.target_id,
                Population.CHURN,
                number,
                concurrency=self._stage.max_in_flight,
                fill=self._stage.instances,
                due_seconds=number / self._stage.rate_per_second,
            )

    def _launch(self, orders: Iterator[Launch], most: int) -> list[Instruction]:
        issued = self._ledger.launch(orders, most - self._starting)
        self._starting += len(issued)
        return issued

    def _destroy(self, count: int) -> list[Instruction]:
        """Send the oldest away."""
        oldest = self._ledger.live[:count]
        self._leaving += len(oldest)
        return self._ledger.destroy(oldest)

    def _measure(self, settle_seconds: float = 0.0) -> list[Instruction]:
        self._measuring = True
        return [Measure(self._ledger.live, settle_seconds)]

    # Answers

    def _done(self, trial: Trial) -> list[Instruction]:
        order = self._ledger.done(trial)
        self._starting -= 1
        ready = trial.outcome is Outcome.READY
        if order.population is Population.CHURN:
            self._made += 1
            self._due = self._made * self._stage.readings // self._count
            self._failures_in_a_row = 0 if ready else self._failures_in_a_row + 1
            hopeless = self._failures_in_a_row >= GIVE_UP_AFTER
        else:
            hopeless = not ready
        return self._end(failure(trial)) if hopeless and not self._ending else self._advance()

    def _measured(self, measured: Measured) -> list[Instruction]:
        self._measuring = False
        reading = ChurnReading(self._readings, measured.sample, measured.at_seconds)
        self._readings += 1
        record = Record(ChurnPoint(self._stage_id, reading))
        match self._phase:
            case _Phase.EMPTY:
                self._phase = _Phase.FILLING
            case _Phase.FULL:
                self._phase = _Phase.CHURNING
            case _Phase.LEFT:
                return [record, *self._end(None)]
            case _:
                pass
        return [record, *self._advance()]

    def _advance(self) -> list[Instruction]:
        """What can be done now."""
        if self._ending:
            return self._wind_down()
        match self._phase:
            case _Phase.FILLING:
                return self._go_on_filling()
            case _Phase.CHURNING:
                return self._go_on_replacing()
            case _Phase.LEAVING if not self._ledger.in_flight:
                self._phase = _Phase.LEFT
                return self._measure(self._stage.settle_seconds)
            case _:
                return []

    def _go_on_filling(self) -> list[Instruction]:
        issued = self._launch(self._fill, self._stage.concurrency)
        if self._ledger.in_flight:
            return issued
        self._phase = _Phase.FULL
        return self._measure(self._stage.settle_seconds)

    def _go_on_replacing(self) -> list[Instruction]:
        issued = self._launch(self._orders, self._stage.max_in_flight)
        if self._measuring:
            return issued
        if not self._reading_waits:
            issued += self._destroy(max(0, len(self._ledger.live) - self._stage.instances))
        self._reading_waits = self._taken < self._due
        if self._reading_waits:
            return [*issued, *self._take_reading()]
        if self._ledger.in_flight:
            return issued
        self._phase = _Phase.LEAVING
        return [*issued, *self._destroy(len(self._ledger.live))]

    def _take_reading(self) -> list[Instruction]:
        """Once nothing is on its way out; until then, and while it lasts, nothing is sent."""
        if self._leaving:
            return []
        self._reading_waits = False
        self._taken += 1
        return self._measure()

    def _end(self, problem: Problem | None) -> list[Instruction]:
        """Launch nothing more; the first cause of the end stands."""
        if not self._ending:
            self._ending = True
            self._measuring = False
            self._problem = problem
        return self._wind_down()

    def _wind_down(self) -> list[Instruction]:
        issued = self._destroy(len(self._ledger.live))
        if self._ledger.in_flight:
            return issued
        self._finished = True
        return [*issued, Finish(self._problem)]
