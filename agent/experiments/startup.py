"""The startup experiment: how long from request to ready, target beside target.

**Schedule.** Warm-up trials come first, then each concurrency level in the
order given. A level is cut into blocks; every block holds every target in
proportion to its number of trials, so that drift of the host falls on all
targets alike (permuted blocks). The order within is drawn from
``Random(f"{seed}/{stage}/{level}")``: the same plan gives the same schedule.

With one trial in flight, single trials are shuffled within their block. With
more, instances of different targets in flight together would disturb each
other and a slow target would fill the slots, so a block is a sequence of
*batches*, each of one target, in random order, with a drained host between
them. A batch begins with a burst and ends with fewer than k in flight; blocks
are therefore made so large that a batch of the scarcest target holds
``BATCH_ROUNDS`` trials per slot where the trial count allows it. These edges
are the same for all targets.

**Loop.** Closed: k slots; a slot is taken by the next trial when the instance
before it is *destroyed*, or failed. A target of which the first ``GIVE_UP_AFTER``
attempts all failed is given up, with a notice: the rest would only repeat them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

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
    Notice,
    Outcome,
    Population,
    Problem,
    ProblemKind,
    StartupStage,
    TargetTrials,
    Trial,
)

BATCH_ROUNDS = 3
GIVE_UP_AFTER = 3


@dataclass(frozen=True, slots=True)
class Batch:
    """Trials that may be in flight together, up to ``concurrency`` of them."""

    concurrency: int
    launches: tuple[Launch, ...]


def schedule(stage_id: str, stage: StartupStage, seed: int) -> list[Batch]:
    """Every trial of a stage, in the order in which batches run."""
    batches = [*_warmup(stage_id, stage, seed)]
    for level in stage.concurrency:
        batches.extend(_level(stage_id, stage.targets, level, _draw(seed, stage_id, level)))
    return batches


def _draw(seed: int, stage_id: str, level: int | str) -> Random:
    return Random(f"{seed}/{stage_id}/{level}")  # noqa: S311 - order of trials, not a secret


def _warmup(stage_id: str, stage: StartupStage, seed: int) -> Iterator[Batch]:
    draw = _draw(seed, stage_id, "warmup")
    for number in range(stage.warmup):
        for target in draw.sample(stage.targets, len(stage.targets)):
            name = target.target_id
            trial_id = f"{stage_id}/{name}/warmup/{number:04d}"
            yield Batch(1, (Launch(trial_id, name, Population.WARMUP, number),))


def _level(
    stage_id: str, targets: Sequence[TargetTrials], level: int, draw: Random
) -> Iterator[Batch]:
    wanted = [target for target in targets if target.trials > 0]
    scarcest = min((target.trials for target in wanted), default=0)
    blocks = scarcest if level == 1 else max(1, scarcest // (BATCH_ROUNDS * level))
    for block in range(blocks if wanted else 0):
        shares = [_share(stage_id, target, level, block, blocks) for target in wanted]
        groups = [(trial,) for share in shares for trial in share] if level == 1 else shares
        for group in draw.sample(groups, len(groups)):
            yield Batch(level, tuple(group))


def _share(
    stage_id: str, target: TargetTrials, level: int, block: int, blocks: int
) -> tuple[Launch, ...]:
    """A target's trials in one block: its whole number spread evenly over all blocks."""
    first, end = (target.trials * edge // blocks for edge in (block, block + 1))
    name = target.target_id
    return tuple(
        Launch(
            f"{stage_id}/{name}/c{level}/{number:04d}",
            name,
            Population.MEASURED,
            number,
            block=block,
            concurrency=level,
        )
        for number in range(first, end)
    )


class Startup:
    """The startup experiment as a state machine.

    Trial ids are fixed by the plan, and no trial depends on an instance of
    another: a stage that is taken up again (``agent.experiments.course``) asks
    for exactly the trials that are missing.
    """

    def __init__(self, stage_id: str, stage: StartupStage, seed: int) -> None:
        self._stage_id = stage_id
        self._batches = deque(schedule(stage_id, stage, seed))
        self._expected = sum(len(batch.launches) for batch in self._batches)
        self._queue: deque[Launch] = deque()
        self._concurrency = 1
        self._ledger = Ledger()
        self._made = 0
        self._ready: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._given_up: dict[str, Problem] = {}
        self._stopped: Stopped | None = None
        self._finished = False

    @property
    def trials_expected(self) -> int:
        """Warm-up and measured trials of all targets and levels."""
        return self._expected

    def start(self) -> list[Instruction]:
        """Launch the first trials."""
        return self._advance()

    def handle(self, event: ExperimentEvent) -> list[Instruction]:
        """Answer an event; late ones, after ``Finish``, change nothing."""
        if self._finished:
            return []
        match event:
            case TrialDone(trial):
                return self._done(trial) + self._advance()
            case Destroyed(trial_id):
                self._ledger.gone(trial_id)
            case Stopped():
                self._stopped = event
            case Measured() | Answered():
                return []
        return self._advance()

    def _done(self, trial: Trial) -> list[Instruction]:
        order = self._ledger.done(trial)
        self._made += trial.outcome is not Outcome.CANCELLED
        if trial.outcome is Outcome.READY:
            self._ready.add(order.target_id)
            return self._ledger.destroy([trial.trial_id])
        return self._count_failure(order.target_id, trial)

    def _count_failure(self, target_id: str, trial: Trial) -> list[Instruction]:
        if trial.outcome is not Outcome.CANCELLED:
            self._failures[target_id] += 1
        hopeless = target_id not in self._ready and self._failures[target_id] >= GIVE_UP_AFTER
        if not hopeless or target_id in self._given_up:
            return []
        self._given_up[target_id] = failure(trial)
        message = (
            f"{target_id} is given up: none of its first {self._failures[target_id]} launches"
            f" became ready; the last said: {trial.error or trial.outcome}"
        )
        return [Record(Notice(message, self._stage_id))]

    def _advance(self) -> list[Instruction]:
        """Fill the free slots, go to the next batch on a drained host, or finish."""
        issued: list[Instruction] = []
        while self._stopped is None:
            issued = self._ledger.launch(self._orders(), self._concurrency - self._ledger.in_flight)
            if self._ledger.in_flight or not self._batches:
                break
            self._open(self._batches.popleft())
        if self._ledger.in_flight:
            return issued
        self._finished = True
        return [Finish(self._problem())]

    def _open(self, batch: Batch) -> None:
        self._concurrency = batch.concurrency
        self._queue.extend(batch.launches)

    def _orders(self) -> Iterator[Launch]:
        while self._queue:
            order = self._queue.popleft()
            if order.target_id not in self._given_up:
                yield order

    def _problem(self) -> Problem | None:
        if self._made == self._expected:
            return None
        if self._stopped is not None:
            message = f"{self._made} of {self._expected} trials were made: {self._stopped.message}"
            return Problem(ProblemKind.GUARD, message)
        return next(iter(self._given_up.values()), None)
