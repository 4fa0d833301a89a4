"""A stage that is cut off anywhere, however often, ends as if it had never been."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.experiments.base import (
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
from agent.experiments.churn import Churn, replacements
from agent.experiments.course import Course, HistoryMismatch, take_up
from agent.experiments.density import Density
from agent.experiments.footprint import Footprint
from agent.experiments.isolation import Isolation
from agent.experiments.memory_floor import MemoryFloorSearch
from agent.experiments.startup import Startup, schedule
from agent.runner.past import Past, missing_rows
from tests.unit.experiments.shell import MIB, answered, trial_of, weigh
from tonnage.model import (
    ChurnPoint,
    ChurnReading,
    ChurnStage,
    DensityResult,
    DensityStage,
    FootprintStage,
    IsolationStage,
    MemoryFloorStage,
    Outcome,
    Payload,
    Population,
    Problem,
    Sample,
    Slo,
    StartupStage,
    Step,
    StopReason,
    TargetTrials,
    Trial,
    TrialEnd,
)

Make = Callable[[], Experiment]
Answer = Callable[[Launch, int], Outcome]


class Cut(Exception):
    """The agent died here."""


@dataclass
class Host:
    """A host with a stage's log on its disk. Rows are all that outlives ``Cut``.

    ``answer(order, attempt)``: how a launch ends. ``pick``: which of the open
    instructions is answered next; by default in the order asked.
    """

    make: Make
    answer: Answer
    pick: Callable[[int], int] = lambda _: 0
    rows: list[Payload] = field(default_factory=list)
    finish: Problem | None = None
    live: dict[str, int] = field(default_factory=dict)
    starting: list[Trial] = field(default_factory=list)
    launched: Counter[str] = field(default_factory=Counter)
    attempts: dict[str, int] = field(default_factory=dict)
    until: int = 0

    def run(self, cuts: list[int]) -> Host:
        """Live through all cuts, each so many rows after the one before, to the end."""
        for cut in (*cuts, 10**9):
            try:
                self._life(len(self.rows) + cut)
            except Cut:
                continue
            break
        return self

    def _write(self, row: Payload) -> None:
        if len(self.rows) >= self.until:
            raise Cut
        self.rows.append(row)

    def _life(self, until: int) -> None:
        self.until = until
        self.live.clear()  # reaped
        for row in missing_rows(self.rows, self.starting, lambda _: "cut"):
            self._write(row)
        self.starting.clear()  # the journal, only once the rows are on disk
        course = Course(self.make())
        self.attempts = dict(Past(self.rows).attempts)
        left = take_up(course, list(self.rows))
        for order in left.again:
            trial = self._launch(order)
            if trial.outcome is Outcome.READY:
                course.held(trial)
        self._drive(course, list(left.open))

    def _launch(self, order: Launch) -> Trial:
        attempt = self.attempts.get(order.trial_id, 0) + 1
        self.attempts[order.trial_id] = attempt
        blank = replace(trial_of(order, Outcome.INTERRUPTED), attempt=attempt)
        self.starting.append(blank)
        self.launched[order.trial_id] += 1
        trial = replace(trial_of(order, self.answer(order, attempt)), attempt=attempt)
        self._write(trial)
        self.starting.remove(blank)
        if trial.outcome is Outcome.READY:
            self.live[order.trial_id] = attempt
        else:
            self._write(TrialEnd(order.trial_id, attempt))
        return trial

    def _drive(self, course: Course, instructions: list[Instruction]) -> None:
        open_: list[Launch | Measure | Ask | str] = []
        while True:
            for instruction in instructions:
                match instruction:
                    case Launch() | Measure() | Ask():
                        open_.append(instruction)
                    case Destroy(trial_ids):
                        open_.extend(trial_ids)
                    case Record(payload):
                        self._write(payload)
                    case Finish(problem):
                        assert not self.live
                        self.finish = problem
                        return
            instructions = course.handle(self._event(open_.pop(self.pick(len(open_)))))

    def _event(self, asked: Launch | Measure | Ask | str) -> ExperimentEvent:
        match asked:
            case Launch():
                return TrialDone(self._launch(asked))
            case Measure(trial_ids):
                alive = sum(trial_id in self.live for trial_id in trial_ids)
                return Measured(replace(weigh(len(trial_ids)), alive=alive, answering=alive))
            case Ask(marks):
                lost = frozenset(trial_id for trial_id, _ in marks) - self.live.keys()
                return answered(asked, lost)
            case str():
                self._write(TrialEnd(asked, self.live.pop(asked)))
                return Destroyed(asked)

    @property
    def facts(self) -> list[Payload]:
        """What was recorded beside trials."""
        return [row for row in self.rows if not isinstance(row, Trial | TrialEnd)]

    @property
    def answers(self) -> dict[str, Outcome]:
        """The outcome of each trial: the first that is no interruption."""
        found: dict[str, Outcome] = {}
        for row in self.rows:
            if isinstance(row, Trial) and row.outcome is not Outcome.INTERRUPTED:
                found.setdefault(row.trial_id, row.outcome)
        return found


startups = st.builds(
    lambda trials, warmup, levels: StartupStage(
        tuple(TargetTrials(name, count) for name, count in trials.items()), warmup, levels, 10
    ),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 8), min_size=1),
    st.integers(0, 1),
    st.lists(st.integers(1, 4), min_size=1, max_size=2, unique=True).map(tuple),
)
densities = st.builds(
    lambda step, most, probes, width, resolution, budget: DensityStage(
        "a", step, most, probes, Slo(), 2, 0.0, 10, width, budget * MIB, resolution
    ),
    st.integers(1, 5),
    st.integers(1, 20),
    st.integers(0, 3),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(30, 150),
)
footprints = st.builds(
    lambda counts, repeats, width: FootprintStage("a", tuple(counts), repeats, 0.0, 10, width),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.integers(1, 2),
    st.integers(1, 4),
)
isolations = st.integers(1, 5).map(lambda k: IsolationStage("a", k, 5.0, 10))
floors = st.builds(
    lambda low, more, k: MemoryFloorStage("a", low * MIB, (low + more) * MIB, k, 10),
    st.integers(1, 4),
    st.integers(1, 12),
    st.integers(1, 3),
)
machines = st.one_of(
    startups.map(lambda stage: lambda: Startup("s", stage, 7)),
    densities.map(lambda stage: lambda: Density("s", stage)),
    densities.map(lambda stage: lambda: Density("s", replace(stage, memory_limit_bytes=MIB))),
    footprints.map(lambda stage: lambda: Footprint("s", stage)),
    isolations.map(lambda stage: lambda: Isolation("s", stage, 7)),
    floors.map(lambda stage: lambda: MemoryFloorSearch("s", stage)),
)
cuts_of_a_run = st.lists(st.integers(0, 25), min_size=1, max_size=6)


def always_ready(order: Launch, attempt: int) -> Outcome:
    return Outcome.READY


def check_rows(host: Host) -> None:
    """Every attempt one row and one end, in order; nothing answered twice."""
    trials = [(row.trial_id, row.attempt) for row in host.rows if isinstance(row, Trial)]
    ends = [(row.trial_id, row.attempt) for row in host.rows if isinstance(row, TrialEnd)]
    assert len(set(trials)) == len(trials)
    assert sorted(trials) == sorted(ends)
    assert len({repr(fact) for fact in host.facts}) == len(host.facts)


@given(machines, cuts_of_a_run)
def test_cut_anywhere_it_ends_as_if_it_had_not_been(make: Make, cuts: list[int]) -> None:
    whole = Host(make, always_ready).run([])
    resumed = Host(make, always_ready).run(cuts)
    assert resumed.facts == whole.facts
    assert resumed.answers == whole.answers
    assert resumed.finish == whole.finish
    check_rows(resumed)


@given(machines, cuts_of_a_run, st.sets(st.integers(0, 12)))
def test_whatever_fails_fails_the_same_and_is_not_tried_again(
    make: Make, cuts: list[int], failing: set[int]
) -> None:
    def answer(order: Launch, attempt: int) -> Outcome:
        return Outcome.FAILED if order.number in failing else Outcome.READY

    whole = Host(make, answer).run([])
    resumed = Host(make, answer).run(cuts)
    assert resumed.facts == whole.facts
    assert resumed.answers == whole.answers
    check_rows(resumed)


@given(startups, cuts_of_a_run, st.randoms(use_true_random=False))
def test_in_any_order_no_start_is_repeated_and_none_missed(
    stage: StartupStage, cuts: list[int], draw: random.Random
) -> None:
    def answer(order: Launch, attempt: int) -> Outcome:
        return Outcome.FAILED if order.number == 3 else Outcome.READY

    host = Host(lambda: Startup("s", stage, 7), answer, draw.randrange).run(cuts)
    check_rows(host)
    answered = Counter(
        row.trial_id
        for row in host.rows
        if isinstance(row, Trial) and row.outcome is not Outcome.INTERRUPTED
    )
    planned = {order.trial_id for batch in schedule("s", stage, 7) for order in batch.launches}
    assert answered == dict.fromkeys(planned, 1)


@given(densities, cuts_of_a_run, st.randoms(use_true_random=False))
def test_no_probe_that_had_its_answer_is_made_again(
    stage: DensityStage, cuts: list[int], draw: random.Random
) -> None:
    host = Host(lambda: Density("s", stage), always_ready, draw.randrange).run(cuts)
    check_rows(host)
    probes = Counter(
        row.trial_id
        for row in host.rows
        if isinstance(row, Trial)
        and row.population is Population.PROBE
        and row.outcome is not Outcome.INTERRUPTED
    )
    assert set(probes.values()) <= {1}
    steps = [row for row in host.facts if isinstance(row, Step)]
    assert sum(probes.values()) == sum(step.probes for step in steps)


churns = st.builds(
    lambda instances, seconds, readings, width, ahead: ChurnStage(
        "a", instances, 2.0, seconds, readings, 0.0, 10, width, ahead
    ),
    st.integers(1, 4),
    st.floats(0.5, 6.0),
    st.integers(0, 4),
    st.integers(1, 3),
    st.integers(1, 5),
)


@given(churns, cuts_of_a_run, st.randoms(use_true_random=False))
def test_no_replacement_is_made_twice_and_no_reading_missed(
    stage: ChurnStage, cuts: list[int], draw: random.Random
) -> None:
    def answer(order: Launch, attempt: int) -> Outcome:
        failed = order.population is Population.CHURN and order.number == 3 and attempt == 1
        return Outcome.FAILED if failed else Outcome.READY

    host = Host(lambda: Churn("s", stage), answer, draw.randrange).run(cuts)
    check_rows(host)
    churned = [trial_id for trial_id in host.answers if "fill" not in trial_id]
    assert len(churned) == replacements(stage)
    readings = [
        fact.fact.number
        for fact in host.facts
        if isinstance(fact, ChurnPoint) and isinstance(fact.fact, ChurnReading)
    ]
    assert readings == list(range(stage.readings + 3))
    assert host.finish is None


@given(
    densities,
    st.lists(st.integers(0, 40), min_size=1, max_size=3),
    st.integers(0, 8),
)
def test_a_fill_that_cannot_be_launched_again_shows_in_the_next_sample(
    stage: DensityStage, cuts: list[int], unlucky: int
) -> None:
    def answer(order: Launch, attempt: int) -> Outcome:
        lost = attempt > 1 and order.number == unlucky and "fill" in order.trial_id
        return Outcome.FAILED if lost else Outcome.READY

    host = Host(lambda: Density("s", stage), answer).run(cuts)
    check_rows(host)
    failed_again = [
        row
        for row in host.rows
        if isinstance(row, Trial) and row.outcome is Outcome.FAILED and row.attempt > 1
    ]
    first_answer = {row.trial_id: host.answers[row.trial_id] for row in failed_again}
    if any(outcome is Outcome.READY for outcome in first_answer.values()):
        samples = [fact.sample for fact in host.facts if isinstance(fact, Step)]
        (end,) = (fact for fact in host.facts if isinstance(fact, DensityResult))
        died = end.stop_reason is StopReason.INSTANCES_DIED
        assert died == any(sample.alive < sample.instances for sample in samples)


def test_a_stop_that_the_machine_had_heard_is_heard_again_at_its_place() -> None:
    stage = DensityStage("a", 2, 10, 0, Slo(), 2, 0.0, 10, concurrency=2)
    course = Course(Density("s", stage))
    first = course.start()
    assert isinstance(first[0], Measure)
    steps = course.handle(Measured(Sample(0, 0, 0, mem_available_bytes=1000 * MIB)))
    rows: list[Payload] = [i.payload for i in steps if isinstance(i, Record)]
    launches = [i for i in steps if isinstance(i, Launch)]
    one = trial_of(launches[0], Outcome.READY)
    rows.append(one)
    course.handle(TrialDone(one))
    stop, after = Stopped(StopReason.MEMORY_HEADROOM, "too little"), course.heard
    ended = course.handle(stop)
    rows += [i.payload for i in ended if isinstance(i, Record)]
    two = trial_of(launches[1], Outcome.READY)  # it was in flight
    rows.append(two)
    course.handle(TrialDone(two))
    rows += missing_rows(rows, [], lambda _: "cut")

    again = Course(Density("s", stage))
    left = take_up(again, rows, stop, after)
    assert left.again == ()
    assert left.open == (Finish(),)


def test_a_stop_of_unknown_place_comes_before_the_first_start_it_cancelled() -> None:
    stage = FootprintStage("a", (2,), 1, 0.0, 10)
    course = Course(Footprint("s", stage))
    course.start()
    (point, launch) = course.handle(Measured(weigh(0)))
    assert isinstance(point, Record)
    assert isinstance(launch, Launch)
    rows: list[Payload] = [point.payload, trial_of(launch, Outcome.CANCELLED)]
    stop = Stopped(StopReason.CANCELLED, "cancelled by the user")
    left = take_up(Course(Footprint("s", stage)), rows, stop)
    (finish,) = left.open
    assert isinstance(finish, Finish)
    assert "cancelled by the user" in str(finish.problem)


def test_rows_of_another_plan_are_told_from_those_of_this_one() -> None:
    stage = StartupStage((TargetTrials("a", 2),), 0, (1,), 10)
    order = Launch("s/b/c1/0000", "b", Population.MEASURED, 0)
    foreign = trial_of(order, Outcome.READY)
    with pytest.raises(HistoryMismatch) as caught:
        take_up(Course(Startup("s", stage, 7)), [foreign])
    problem = caught.value.problem
    assert "trial s/b/c1/0000 is stored, but its plan awaits trial s/a/c1/0000 there" in str(
        problem
    )
    assert "submit the experiment again" in problem.remedy


def test_a_measurement_that_nobody_awaits_is_named_and_a_long_list_is_cut() -> None:
    stage = StartupStage((TargetTrials("a", 9),), 0, (5,), 10)
    measured = Step("s", 3, weigh(0), probes=0, met_slo=True)
    with pytest.raises(HistoryMismatch, match=r"step 3 is stored, but .*(trial \S+, ){3}… there"):
        take_up(Course(Startup("s", stage, 7)), [measured])
