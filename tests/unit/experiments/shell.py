"""A shell for experiment machines: carries out instructions on a made-up host.

Which of the open instructions is answered next, and how a launch ends, are
functions given by the test. The invariants that hold for every experiment are
checked as it goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.experiments.base import (
    Answered,
    Ask,
    Destroy,
    Destroyed,
    Experiment,
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
from tonnage.model import Accelerator, InsideAnswer, Outcome, Payload, Sample, StopReason, Trial

Ending = Callable[[Launch], Outcome]
Weigh = Callable[[int], Sample]
Pick = Callable[[int], int]

MIB = 1024 * 1024


def ready(_: Launch) -> Outcome:
    """Every launch becomes ready."""
    return Outcome.READY


def weigh(count: int) -> Sample:
    """A host of 1000 MiB on which each instance takes 10."""
    return Sample(count, count, count, mem_available_bytes=(1000 - 10 * count) * MIB)


def first(_: int) -> int:
    """Answer in the order asked."""
    return 0


def trial_of(order: Launch, outcome: Outcome, start_seconds: float = 0.2) -> Trial:
    """The row of a launch."""
    is_ready = outcome is Outcome.READY
    return Trial(
        trial_id=order.trial_id,
        stage_id="s",
        target_id=order.target_id,
        accelerator=Accelerator.NONE,
        population=order.population,
        concurrency=order.concurrency,
        block=order.block,
        number=order.number,
        attempt=1,
        outcome=outcome,
        requested_at_unix_ns=0,
        error="" if is_ready else f"made to end {outcome}",
        ready_ns=int(start_seconds * 1e9) if is_ready else None,
    )


def answered(ask: Ask, silent: frozenset[str] = frozenset()) -> Answered:
    """Every instance tells something, but for those that are silent."""
    return Answered(
        "{}",
        tuple(
            InsideAnswer(trial_id, mark, error="no answer")
            if trial_id in silent
            else InsideAnswer(trial_id, mark, '{"kernel": "6.1"}')
            for trial_id, mark in ask.marks
        ),
    )


CANCELLED = Stopped(StopReason.CANCELLED, "cancelled by the user")


@dataclass
class Shell:
    """Runs one machine to its end."""

    machine: Experiment
    ending: Ending = ready
    weigh: Weigh = weigh
    pick: Pick = first
    stop_after: int | None = None
    stop: Stopped = CANCELLED
    start_seconds: Callable[[Launch], float] = lambda _: 0.2

    log: list[Instruction] = field(default_factory=list)
    history: list[ExperimentEvent] = field(default_factory=list)
    live: list[str] = field(default_factory=list)
    most_live: int = 0
    silent: frozenset[str] = frozenset()
    _open: list[Launch | str | Measure | Ask] = field(default_factory=list)
    _finished: bool = False

    def run(self) -> Shell:
        """Answer until nothing is open; the machine must have finished by then."""
        self._take(self.machine.start())
        while self._open or self._due_to_stop():
            event = self._next_event()
            self.history.append(event)
            self._take(self.machine.handle(event))
        assert self._finished, "the machine neither waits for anything nor has finished"
        assert not self.live, f"left behind: {self.live}"
        return self

    def of(self, kind: type[Instruction]) -> list[Instruction]:
        """The instructions of one kind, in order."""
        return [instruction for instruction in self.log if isinstance(instruction, kind)]

    @property
    def launches(self) -> list[Launch]:
        """Every launch, in order."""
        return [instruction for instruction in self.log if isinstance(instruction, Launch)]

    @property
    def records(self) -> list[Payload]:
        """What was recorded, in order."""
        return [instruction.payload for instruction in self.log if isinstance(instruction, Record)]

    @property
    def finish(self) -> Finish:
        """How it finished."""
        (only,) = (instruction for instruction in self.log if isinstance(instruction, Finish))
        return only

    def _due_to_stop(self) -> bool:
        return not self._finished and self._stopping()

    def _stopping(self) -> bool:
        already = any(isinstance(event, Stopped) for event in self.history)
        return not already and self.stop_after is not None and len(self.history) >= self.stop_after

    def _next_event(self) -> ExperimentEvent:
        if self._stopping():
            return self.stop
        chosen = self._open.pop(self.pick(len(self._open)) % len(self._open))
        if isinstance(chosen, Launch):
            outcome = self.ending(chosen)
            if outcome is Outcome.READY:
                self.live.append(chosen.trial_id)
                self.most_live = max(self.most_live, len(self.live))
            return TrialDone(trial_of(chosen, outcome, self.start_seconds(chosen)))
        if isinstance(chosen, Measure):
            return Measured(self.weigh(len(chosen.trial_ids)))
        if isinstance(chosen, Ask):
            return answered(chosen, self.silent)
        self.live.remove(chosen)
        return Destroyed(chosen)

    def _take(self, instructions: Sequence[Instruction]) -> None:
        for instruction in instructions:
            assert not self._finished, f"{instruction} after Finish"
            self.log.append(instruction)
            self._check(instruction)
            match instruction:
                case Destroy(trial_ids):
                    self._open.extend(trial_ids)
                case Launch() | Measure() | Ask():
                    self._open.append(instruction)
                case Finish():
                    self._finished = True
                case Record():
                    pass

    def _check(self, instruction: Instruction) -> None:
        stopped = any(isinstance(event, Stopped) for event in self.history)
        match instruction:
            case Launch():
                assert not stopped, "launched after it was told to stop"
                in_flight = sum(isinstance(item, Launch) for item in self._open)
                assert in_flight < instruction.concurrency
                ids = Counter(order.trial_id for order in self.launches)
                assert ids[instruction.trial_id] == 1, "one trial launched twice"
            case Destroy(trial_ids):
                destroyed = [
                    i for d in self.of(Destroy) if isinstance(d, Destroy) for i in d.trial_ids
                ]
                assert len(set(destroyed)) == len(destroyed), "destroyed twice"
                assert set(trial_ids) <= set(self.live), "destroyed what does not live"
            case Measure(trial_ids):
                assert sorted(trial_ids) == sorted(self.live)
            case Ask(marks):
                assert [trial_id for trial_id, _ in marks] == self.live
            case _:
                pass
