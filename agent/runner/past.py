"""What the stored events of a run tell about how far it came. All of it is pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tonnage.model import (
    ChurnPoint,
    ChurnReading,
    FootprintPoint,
    Inside,
    MemoryFloor,
    Outcome,
    Payload,
    Problem,
    RunPrepared,
    RunReleased,
    RunResumed,
    StageFinished,
    StageStarted,
    Step,
    Trial,
    TrialEnd,
)


class Past:
    """A run until now: nothing for a fresh one."""

    def __init__(self, rows: Sequence[Payload] = ()) -> None:
        self.rows = tuple(rows)
        self.prepared = any(isinstance(row, RunPrepared) for row in rows)
        self.released = any(isinstance(row, RunReleased) for row in rows)
        self.resumed = sum(isinstance(row, RunResumed) for row in rows)
        self.finished: dict[str, Problem | None] = {
            row.stage_id: row.problem for row in rows if isinstance(row, StageFinished)
        }
        self.attempts: dict[str, int] = {}
        self.digests: dict[str, str] = {}
        self.ready_trials = 0
        for row in rows:
            if isinstance(row, Trial):
                self._count(row)

    def _count(self, trial: Trial) -> None:
        self.attempts[trial.trial_id] = max(trial.attempt, self.attempts.get(trial.trial_id, 0))
        self.ready_trials += trial.outcome is Outcome.READY
        if trial.image_digest:
            self.digests[trial.target_id] = trial.image_digest

    def begun(self, stage_id: str) -> bool:
        """Whether the stage was begun."""
        return any(isinstance(row, StageStarted) and row.stage_id == stage_id for row in self.rows)

    def open_stages(self) -> list[str]:
        """Stages that were begun and have not ended."""
        begun = [row.stage_id for row in self.rows if isinstance(row, StageStarted)]
        return [stage_id for stage_id in begun if stage_id not in self.finished]

    def rows_of(self, stage_id: str) -> Sequence[Payload]:
        """The rows since the stage began, which are its own while it is the last."""
        for place, row in enumerate(self.rows):
            if isinstance(row, StageStarted) and row.stage_id == stage_id:
                return self.rows[place + 1 :]
        return ()

    def fruitless_resumptions(self) -> int:
        """How often the run was resumed since something new was found out: a trial's first
        answer, a measurement, the end of a stage. A fill that is launched again is nothing new."""
        answered: set[str] = set()
        count = 0
        for row in self.rows:
            match row:
                case RunResumed():
                    count += 1
                case Trial() if row.outcome is not Outcome.INTERRUPTED:
                    count = count if row.trial_id in answered else 0
                    answered.add(row.trial_id)
                case (
                    Step()
                    | FootprintPoint()
                    | Inside()
                    | MemoryFloor()
                    | StageFinished()
                    | RunPrepared()
                    | RunReleased()
                ):
                    count = 0
                case ChurnPoint(fact=ChurnReading()):
                    count = 0
                case _:
                    pass
        return count


def missing_rows(
    rows: Iterable[Payload], launched: Iterable[Trial], fate: Callable[[Trial], str]
) -> list[Trial | TrialEnd]:
    """The rows that an agent which died left unwritten.

    ``launched``: the journal's, each as the row it leaves without an outcome.
    Every attempt gets its row, and every row its end, whose error ``fate`` tells;
    an end that the experiment did not ask for is ``interrupted``. What is stored
    is not given again: whoever dies in between goes on where it was.
    """
    stored = [row for row in rows if isinstance(row, Trial)]
    ends = {(row.trial_id, row.attempt) for row in rows if isinstance(row, TrialEnd)}
    known = {(row.trial_id, row.attempt) for row in stored}
    cut = [trial for trial in launched if (trial.trial_id, trial.attempt) not in known]
    missing: list[Trial | TrialEnd] = [replace(t, outcome=Outcome.INTERRUPTED) for t in cut]
    for trial in (*stored, *cut):
        if (trial.trial_id, trial.attempt) not in ends:
            lived = trial.outcome in (Outcome.READY, Outcome.INTERRUPTED)
            end = TrialEnd(trial.trial_id, trial.attempt, error=fate(trial), interrupted=lived)
            missing.append(end)
    return missing
