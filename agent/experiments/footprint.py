"""The footprint experiment: what each further instance costs.

The empty host is measured first, then every count in ascending order, each
after its rest; the cost is the slope over all points, never a single one. Each
repeat destroys everything and begins with the empty host again, so that what
the host keeps after a removal shows.

A launch that fails, or an instance that dies, ends the series with a problem:
a slope over instances that are not there would be wrong. The points before
are kept, the one that shows the loss too (its ``alive`` is less than its
``instances``). Where the agent ended in the middle,
the instances are launched again before the series goes on
(``agent.experiments.course``); one that cannot be shows as a loss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

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
    FootprintPoint,
    FootprintStage,
    Outcome,
    Population,
    Problem,
    ProblemKind,
    Sample,
    Trial,
)


class Footprint:
    """The footprint experiment as a state machine."""

    def __init__(self, stage_id: str, stage: FootprintStage) -> None:
        self._stage_id = stage_id
        self._stage = stage
        self._largest = max(stage.counts, default=0)
        self._levels = deque(
            (repeat, count)
            for repeat in range(stage.repeats)
            for count in sorted({0, *stage.counts})
        )
        self._repeat = 0
        self._orders: Iterator[Launch] = iter(())
        self._ledger = Ledger()
        self._measuring = False
        self._ending = False
        self._finished = False
        self._problem: Problem | None = None

    @property
    def trials_expected(self) -> int:
        """Launches of the whole series, all repeats."""
        return self._stage.repeats * self._largest

    def start(self) -> list[Instruction]:
        """Begin with the empty host."""
        return self._next_level()

    def handle(self, event: ExperimentEvent) -> list[Instruction]:
        """Answer an event; late ones, after ``Finish``, change nothing."""
        if self._finished:
            return []
        match event:
            case TrialDone(trial):
                return self._done(trial)
            case Destroyed(trial_id):
                self._ledger.gone(trial_id)
                return self._advance()
            case Measured(sample):
                return self._measured(sample) if self._measuring else []
            case Answered():
                return []
            case Stopped(_, message):
                return self._end(Problem(ProblemKind.GUARD, f"The series was cut short: {message}"))

    def _next_level(self) -> list[Instruction]:
        """Go to the next count; a new repeat first empties the host."""
        if not self._levels:
            return self._end(None)
        repeat, count = self._levels.popleft()
        emptied = self._ledger.destroy(self._ledger.live) if count == 0 else []
        self._repeat = repeat
        self._orders = self._fill_orders(len(self._ledger.live), count)
        return [*emptied, *self._advance()]

    def _fill_orders(self, first: int, end: int) -> Iterator[Launch]:
        for index in range(first, end):
            yield Launch(
                f"{self._stage_id}/r{self._repeat}/{index:04d}",
                self._stage.target_id,
                Population.FILL,
                self._repeat * self._largest + index,
                block=self._repeat,
                concurrency=self._stage.concurrency,
                fill=len(self._ledger.live),
            )

    def _advance(self) -> list[Instruction]:
        """Go on launching; with nothing in flight, measure or finish."""
        if self._ending:
            return self._wind_down()
        room = self._stage.concurrency - self._ledger.in_flight
        issued = self._ledger.launch(self._orders, room)
        if self._ledger.in_flight:
            return issued
        self._measuring = True
        return [Measure(self._ledger.live, self._stage.settle_seconds)]

    def _done(self, trial: Trial) -> list[Instruction]:
        self._ledger.done(trial)
        if trial.outcome is not Outcome.READY and not self._ending:
            return self._end(failure(trial))
        return self._advance()

    def _measured(self, sample: Sample) -> list[Instruction]:
        self._measuring = False
        point = Record(FootprintPoint(self._stage_id, self._repeat, sample))
        if sample.alive < sample.instances:
            text = f"{sample.alive} of {sample.instances} instances are alive: the series ends here"
            return [point, *self._end(Problem(ProblemKind.LAUNCH_FAILED, text))]
        return [point, *self._next_level()]

    def _end(self, problem: Problem | None) -> list[Instruction]:
        """Launch nothing more; the first cause of the end stands."""
        if not self._ending:
            self._ending = True
            self._measuring = False
            self._orders = iter(())
            self._problem = problem
        return self._wind_down()

    def _wind_down(self) -> list[Instruction]:
        issued = self._ledger.destroy(self._ledger.live)
        if self._ledger.in_flight:
            return issued
        self._finished = True
        return [*issued, Finish(self._problem)]
