"""The isolation experiment: what instances that live side by side see of each other.

They are launched one after another and all live at once. Each is given a mark of
its own, which then stands on the command line of its first process and names a file
of its /tmp; then each tells what it sees, and the host is looked at. All of it is
recorded as it was said. What it means is judged from the rows.

A launch that fails ends the stage with a problem: fewer neighbours than asked for
prove less. One that does not answer is recorded with the reason. Where the agent
ended in the middle, the instances are launched again, and all are asked anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from agent.experiments.base import (
    Answered,
    Ask,
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
    Inside,
    InsideAnswer,
    IsolationStage,
    Outcome,
    Population,
    Problem,
    ProblemKind,
    Trial,
)


class Isolation:
    """The isolation experiment as a state machine. ``seed`` makes the marks."""

    def __init__(self, stage_id: str, stage: IsolationStage, seed: int) -> None:
        self._stage_id = stage_id
        self._stage = stage
        self._seed = seed
        self._ledger = Ledger()
        self._orders = self._launches()
        self._problem: Problem | None = None
        self._ending = False
        self._asking = False
        self._finished = False

    @property
    def trials_expected(self) -> int:
        """Instances launched."""
        return self._stage.instances

    def start(self) -> list[Instruction]:
        """Launch the first."""
        return self._advance()

    def handle(self, event: ExperimentEvent) -> list[Instruction]:
        """Answer an event; late ones, after ``Finish``, change nothing."""
        if self._finished:
            return []
        match event:
            case TrialDone(trial):
                return self._done(trial)
            case Destroyed(trial_id):
                self._ledger.gone(trial_id)
            case Answered():
                return self._answered(event)
            case Stopped(message=message):
                if self._asking:
                    return []  # what is asked is answered within its deadline
                text = f"Stopped before the instances were asked: {message}"
                self._end(Problem(ProblemKind.GUARD, text))
            case Measured():
                return []
        return self._advance()

    def _launches(self) -> Iterator[Launch]:
        for number in range(self._stage.instances):
            trial_id = f"{self._stage_id}/{number:04d}"
            target = self._stage.target_id
            yield Launch(trial_id, target, Population.FILL, number, fill=number)

    def _done(self, trial: Trial) -> list[Instruction]:
        self._ledger.done(trial)
        if trial.outcome is not Outcome.READY:
            self._end(failure(trial))
        return self._advance()

    def _end(self, problem: Problem | None) -> None:
        """Launch nothing more, and destroy what lives; the first problem is the stage's."""
        if not self._ending:
            self._problem = problem
        self._ending = True
        self._orders = iter(())

    def _advance(self) -> list[Instruction]:
        if self._ending:
            return self._wind_down()
        issued = self._ledger.launch(self._orders, 1 - self._ledger.in_flight)
        if self._ledger.in_flight or self._asking:
            return issued
        self._asking = True
        marks = tuple((trial_id, self.mark(trial_id)) for trial_id in self._ledger.live)
        return [Ask(marks, self._stage.answer_timeout_seconds)]

    def mark(self, trial_id: str) -> str:
        """A name that nothing else on the host has."""
        drawn = hashlib.sha256(f"{self._seed}/{trial_id}".encode()).hexdigest()[:16]
        return f"tonnage-mark-{drawn}"

    def _answered(self, said: Answered) -> list[Instruction]:
        inside = Record(Inside(self._stage_id, said.host_facts_json, said.answers))
        self._end(_unanswered(said.answers))
        return [inside, *self._wind_down()]

    def _wind_down(self) -> list[Instruction]:
        issued = self._ledger.destroy(self._ledger.live)
        if self._ledger.in_flight:
            return issued
        self._finished = True
        return [*issued, Finish(self._problem)]


def _unanswered(answers: tuple[InsideAnswer, ...]) -> Problem | None:
    silent = [answer for answer in answers if answer.error]
    if not silent:
        return None
    return Problem(
        ProblemKind.UNAVAILABLE,
        f"{len(silent)} of {len(answers)} instances did not tell what they see: {silent[0].error}",
        remedy="Isolation asks the workload itself: use tonnage/idle:1, or one that answers"
        " mark NAME and facts on its console as it does.",
    )
