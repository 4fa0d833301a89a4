"""The course of one stage: its machine, and which of its instances live on the host.

The machine knows what it asked for and was told; instances can be lost without
its doing, when the agent ends. The course stands between: an order to destroy
what is lost is answered at once, so that a machine never waits for the dead.

**Going on.** The stored rows of a stage, heard in their order, bring a fresh
machine to where the old one stood: it is told of every outcome, removal and
measurement once. An attempt that was ``interrupted`` is no answer, and a removal
that was is none unless the machine had asked for it. What the machine then holds
to be alive and the host has not, is to be launched ``again``; the machine is not
told how that went, its next sample shows it. What it asked for and nobody
answered is ``open``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent.errors import TonnageError
from agent.experiments.base import (
    Answered,
    Ask,
    Destroy,
    Destroyed,
    Experiment,
    ExperimentEvent,
    Instruction,
    Launch,
    Measure,
    Measured,
    Record,
    Stopped,
    TrialDone,
)
from tonnage.model import (
    ChurnPoint,
    ChurnReading,
    DensityResult,
    FootprintPoint,
    Forecast,
    Inside,
    MemoryFloor,
    Notice,
    Outcome,
    Payload,
    Step,
    Trial,
    TrialEnd,
)

_SHOWN = 3


class HistoryMismatch(TonnageError):
    """The stored rows are not those of this plan and machine."""

    def __init__(self, stored: str, awaited: Sequence[str]) -> None:
        shown = ", ".join(awaited[:_SHOWN]) + (", …" if len(awaited) > _SHOWN else "")
        super().__init__(
            f"the stage cannot go on from its stored rows: {stored} is stored, but its plan"
            f" awaits {shown or 'nothing'} there",
            remedy="Its rows are kept; submit the experiment again. Unless another version of"
            " the agent began the run, this is a defect of Tonnage.",
        )


@dataclass(frozen=True, slots=True)
class Left:
    """What a stage has still to do: first ``again``, then ``open`` in its order."""

    again: tuple[Launch, ...]
    open: tuple[Instruction, ...]


class Course:
    """A machine at work. ``heard`` counts the events it was told, stops not among them.

    Guarantee: an instance is named in a ``Destroy`` only while it lives.
    """

    def __init__(self, machine: Experiment) -> None:
        self._machine = machine
        self._orders: dict[str, Launch] = {}
        self._starting: dict[str, Launch] = {}
        self._alive: dict[str, Launch] = {}
        self._leaving: set[str] = set()
        self._held: dict[str, int] = {}
        self._question: Measure | Ask | None = None
        self.heard = 0

    @property
    def trials_expected(self) -> int:
        """Trials the machine will make, 0 if that is not known beforehand."""
        return self._machine.trials_expected

    def start(self) -> list[Instruction]:
        """The first instructions."""
        return self._issue(self._machine.start())

    def handle(self, event: ExperimentEvent) -> list[Instruction]:
        """Tell the machine of an event; what follows from it."""
        self.heard += not isinstance(event, Stopped)
        match event:
            case TrialDone(trial):
                order = self._starting.pop(trial.trial_id)
                if trial.outcome is Outcome.READY:
                    self._alive[trial.trial_id] = order
                    self.held(trial)
            case Destroyed(trial_id):
                self._held.pop(trial_id, None)
                self._leaving.discard(trial_id)
            case Measured() | Answered():
                self._question = None
            case Stopped():
                pass
        return self._issue(self._machine.handle(event))

    def held(self, trial: Trial) -> None:
        """The instance of this attempt lives: the first, or one launched again."""
        self._held[trial.trial_id] = trial.attempt

    def _issue(self, issued: Iterable[Instruction]) -> list[Instruction]:
        out: list[Instruction] = []
        left = deque(issued)
        while left:
            instruction = left.popleft()
            match instruction:
                case Destroy(trial_ids):
                    here = self._send_away(trial_ids)
                    out += [Destroy(here)] if here else []
                    for lost in trial_ids:
                        if lost not in self._held:
                            left.extend(self._machine.handle(Destroyed(lost)))
                    continue
                case Launch(trial_id=trial_id):
                    self._orders[trial_id] = self._starting[trial_id] = instruction
                case Measure() | Ask():
                    self._question = instruction
                case _:
                    pass
            out.append(instruction)
        return out

    def _send_away(self, trial_ids: Iterable[str]) -> tuple[str, ...]:
        """Those that are there to be destroyed."""
        for trial_id in trial_ids:
            del self._alive[trial_id]
        here = tuple(trial_id for trial_id in trial_ids if trial_id in self._held)
        self._leaving.update(here)
        return here

    def hear(self, row: Payload) -> list[Instruction]:
        """Tell the machine what a stored row tells, if anything; what followed from it.

        Raises ``HistoryMismatch``.
        """
        match row:
            case Trial():
                return self._hear_trial(row)
            case TrialEnd(trial_id=trial_id, attempt=attempt):
                if self._held.get(trial_id) != attempt:
                    return []  # it never lived, or is gone already
                del self._held[trial_id]
                return self.handle(Destroyed(trial_id)) if trial_id in self._leaving else []
            case Step() | FootprintPoint():
                self._expect(Measure, row)
                return self.handle(Measured(row.sample))
            case Inside(host_facts_json=host, answers=answers):
                self._expect(Ask, row)
                return self.handle(Answered(host, answers))
            case ChurnPoint(fact=ChurnReading() as reading):
                self._expect(Measure, reading)
                return self.handle(Measured(reading.sample, reading.at_seconds))
            case _:
                return []

    def _expect(
        self, kind: type[Measure | Ask], row: Step | FootprintPoint | ChurnReading | Inside
    ) -> None:
        if not isinstance(self._question, kind):
            raise HistoryMismatch(_named(row), self._awaited())

    def _hear_trial(self, trial: Trial) -> list[Instruction]:
        if trial.outcome is Outcome.INTERRUPTED:
            return []
        if trial.trial_id in self._starting:
            return self.handle(TrialDone(trial))
        if trial.trial_id not in self._orders:
            raise HistoryMismatch(f"trial {trial.trial_id}", self._awaited())
        if trial.outcome is Outcome.READY:
            self.held(trial)  # launched again
        return []

    def _awaited(self) -> list[str]:
        """What a next row may be of."""
        trials = [f"trial {trial_id}" for trial_id in (*self._starting, *self._leaving)]
        match self._question:
            case Measure():
                return [*trials, "a measurement"]
            case Ask():
                return [*trials, "answers"]
            case None:
                return trials

    def lost(self) -> tuple[Launch, ...]:
        """Instances that the machine holds to be alive and the host has not, oldest first."""
        return tuple(o for trial_id, o in self._alive.items() if trial_id not in self._held)

    def unanswered(self) -> Iterator[Instruction]:
        """What the machine waits for."""
        yield from self._starting.values()
        if self._question is not None:
            yield self._question


def take_up(
    course: Course, rows: Iterable[Payload], stop: Stopped | None = None, after: int | None = None
) -> Left:
    """Bring a fresh course to where its stored ``rows`` end; what it has still to do.

    ``stop``: the machine had been told to stop, after it had heard ``after``
    events; where that is not known, at the first row of a start that was
    cancelled, else now. Records that are stored are not recorded again. Raises
    ``HistoryMismatch``.
    """
    stored: Counter[tuple[object, ...]] = Counter()
    issued = course.start()
    for row in rows:
        stored[_mark(row)] += 1
        if stop is not None and _due(after, course, row):
            issued += course.handle(stop)
            stop = None
        issued += course.hear(row)
    if stop is not None:
        issued += course.handle(stop)
    return Left(course.lost(), tuple(_open(course, issued, stored)))


def _due(after: int | None, course: Course, row: Payload) -> bool:
    if after is None:
        return isinstance(row, Trial) and row.outcome is Outcome.CANCELLED
    return course.heard >= after


def _open(
    course: Course, issued: Iterable[Instruction], stored: Counter[tuple[object, ...]]
) -> Iterator[Instruction]:
    for instruction in issued:
        match instruction:
            case Launch() | Measure() | Ask() | Destroy():
                continue  # answered, or among the unanswered
            case Record(payload) if stored[_mark(payload)] > 0:
                stored[_mark(payload)] -= 1
            case _:
                yield instruction
    yield from course.unanswered()


def _named(row: Step | FootprintPoint | ChurnReading | Inside) -> str:
    if isinstance(row, Step):
        return f"step {row.number}"
    if isinstance(row, Inside):
        return "what instances see"
    if isinstance(row, ChurnReading):
        return f"reading {row.number}"
    return f"the footprint of {row.sample.instances} instances"


def _mark(row: Payload) -> tuple[object, ...]:
    """What makes a record the same one, whichever version of the agent words it."""
    match row:
        case Step():
            return ("step", row.number)
        case FootprintPoint():
            return ("point", row.repeat, row.sample.instances)
        case ChurnPoint(fact=ChurnReading(number=number)):
            return ("reading", number)
        case Forecast() | DensityResult() | Inside() | MemoryFloor():
            return (type(row).__name__,)
        case Notice():
            return ("notice", row.message)
        case _:
            return ("other",)
