"""What an experiment is: events in, instructions out.

``start()`` and ``handle(event)`` return instructions; the runner executes
them, concurrently where there are several, and answers each with its event.
The same events give the same instructions: a stored history tells a machine's
whole state.

============  =======================================================
instruction   answered by
============  =======================================================
Launch        TrialDone (whatever its outcome)
Destroy       Destroyed, one for each trial named
Measure       Measured
Ask           Answered
Record        nothing: stored in order, before any later instruction
Finish        nothing: the stage ends, what still lives is destroyed
============  =======================================================

``Stopped`` may come at any time, once: a guard tripped or the run was
cancelled. The machine then launches nothing more and finishes as soon as its
launches in flight are done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tonnage.model import InsideAnswer, Payload, Population, Problem, Sample, StopReason, Trial


@dataclass(frozen=True, slots=True)
class Launch:
    """Launch one instance. An instance that became ready lives until ``Destroy``;
    after any other outcome nothing is left of it.

    ``due_seconds``: not before that time of the stage's schedule, which begins with
    the first launch that has one. Open loop: several may be ordered ahead, and each
    is made at its time whatever became of the others. ``memory_bytes`` replaces the
    target's own.
    """

    trial_id: str
    target_id: str
    population: Population
    number: int
    block: int = 0
    concurrency: int = 1
    fill: int = 0
    due_seconds: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Destroy:
    """Destroy the instances of these trials."""

    trial_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """Rest ``settle_seconds``, then read host and the instances of these trials."""

    trial_ids: tuple[str, ...]
    settle_seconds: float


@dataclass(frozen=True, slots=True)
class Ask:
    """Give each of these instances its mark, by trial; then have each tell what it sees,
    and look at the host. Each answer has ``timeout_seconds``."""

    marks: tuple[tuple[str, str], ...]
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Record:
    """Store a fact."""

    payload: Payload


@dataclass(frozen=True, slots=True)
class Finish:
    """The stage is over; ``problem`` says why if its work was not done."""

    problem: Problem | None = None


Instruction = Launch | Destroy | Measure | Ask | Record | Finish


@dataclass(frozen=True, slots=True)
class TrialDone:
    """A launch has its outcome. The runner has stored the trial already."""

    trial: Trial


@dataclass(frozen=True, slots=True)
class Destroyed:
    """An instance is gone."""

    trial_id: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement; ``at_seconds`` of the stage's schedule, ``None`` before it."""

    sample: Sample
    at_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What the instances of an ``Ask`` said, in its order, and the host's own facts."""

    host_facts_json: str
    answers: tuple[InsideAnswer, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """Launch nothing more: a guard tripped, or the run was cancelled."""

    reason: StopReason
    message: str


ExperimentEvent = TrialDone | Destroyed | Measured | Answered | Stopped


class Experiment(Protocol):
    """One stage of a plan as a state machine."""

    @property
    def trials_expected(self) -> int:
        """Trials it will make, 0 if that is not known beforehand."""

    def start(self) -> list[Instruction]:
        """The first instructions."""

    def handle(self, event: ExperimentEvent) -> list[Instruction]:
        """The instructions that follow an event; ``Finish`` comes exactly once."""
