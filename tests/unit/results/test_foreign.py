"""Foreign memory that moved beneath a ramp or a series is told, and nothing else is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from collector.model import HostFact, RunData
from collector.results import assemble
from collector.results.foreign import Drift, under_ramp, under_series
from tests.unit.reports.sample import sample_run
from tonnage.model import DensityResult, FootprintPoint, Forecast, Sample, Step, StopReason

MB = 10**6
WARNING = "other programs' memory"


def sample(count: int, foreign: int | None, each: int = 10 * MB) -> Sample:
    available = 1000 * MB - each * count
    return Sample(count, count, count, mem_available_bytes=available, foreign_bytes=foreign)


def ramp(*foreign: int | None, each: int = 10 * MB) -> list[Step]:
    """Ten more instances a step."""
    return [
        Step("density/docker", number, sample(10 * number, bytes_, each), 0, met_slo=True)
        for number, bytes_ in enumerate(foreign)
    ]


def test_the_farthest_step_is_judged_beside_what_was_used_at_the_limit() -> None:
    steps = ramp(50 * MB, 61 * MB, 56 * MB, 50 * MB)
    assert under_ramp(steps, 20) == Drift(11 * MB, 200 * MB)
    assert under_ramp(steps, None) == under_ramp(steps, 0) == Drift(11 * MB, 300 * MB)


def test_steps_are_taken_in_their_order() -> None:
    assert under_ramp(reversed(ramp(50 * MB, 41 * MB)), 10) == Drift(-9 * MB, 100 * MB)


@pytest.mark.parametrize(
    ("change", "doubtful"), [(5 * MB, False), (5 * MB + 1, True), (-5 * MB, False), (-6 * MB, True)]
)
def test_more_than_a_twentieth_either_way_is_doubtful(change: int, doubtful: bool) -> None:
    assert Drift(change, 100 * MB).doubtful is doubtful


def test_where_no_memory_was_used_any_change_is_doubtful() -> None:
    assert Drift(1, -MB).doubtful
    assert not Drift(0, -MB).doubtful
    assert Drift(-8 * MB, -MB).told("the ramp") == (
        "other programs' memory fell by 8.00 MB while the ramp used none"
    )


@pytest.mark.parametrize(
    "steps", [[], ramp(50 * MB), ramp(None, 9 * MB), ramp(9 * MB, None), ramp(0, 9 * MB)[1:]]
)
def test_what_is_not_known_is_not_judged(steps: list[Step]) -> None:
    assert under_ramp(steps, 10) is None


def test_repeats_are_judged_one_by_one() -> None:
    readings = {0: (50, 51, 52), 1: (90, 90, 70), 2: (10, 10, 10)}
    points = [
        FootprintPoint("footprint/docker", repeat, sample(5 * number, foreign * MB))
        for repeat, row in readings.items()
        for number, foreign in enumerate(row)
    ]
    assert under_series(points) == Drift(-20 * MB, 100 * MB)
    assert under_series(points[:3]) == Drift(2 * MB, 100 * MB)
    assert under_series([]) is None


def with_foreign(foreign: Callable[[int], int]) -> RunData:
    """The plain run, with foreign memory as a function of the instances."""

    def told(row: HostFact) -> HostFact:
        if not isinstance(row.fact, Step | FootprintPoint):
            return row
        seen = replace(row.fact.sample, foreign_bytes=foreign(row.fact.sample.instances))
        return replace(row, fact=replace(row.fact, sample=seen))

    data = sample_run()
    return replace(data, facts=tuple(map(told, data.facts)))


def warnings(data: RunData) -> list[str]:
    return [text for text in assemble(data).warnings if WARNING in text]


def test_a_spoiled_ramp_and_a_spoiled_series_are_told() -> None:
    told = warnings(with_foreign(lambda count: (180 if count else 20) * MB))
    assert len(told) == 4
    assert told[0] == (
        "docker on h1: other programs' memory grew by 160 MB while the ramp used 1.49 GB: "
        "its limit and forecast are in doubt."
    )
    assert told[2] == (
        "docker on h1: other programs' memory grew by 160 MB while a series used 34.5 MB: "
        "its footprint by mem_available is in doubt."
    )


def test_a_ramp_under_way_has_no_limit_to_doubt() -> None:
    data = with_foreign(lambda count: (180 if count else 20) * MB)
    unended = tuple(f for f in data.facts if not isinstance(f.fact, DensityResult | Forecast))
    assert warnings(replace(data, facts=unended))[0].endswith(": its steps are in doubt.")


def test_a_limit_of_its_own_memory_group_is_not_doubted() -> None:
    data = with_foreign(lambda count: (180 if count else 20) * MB)

    def of_group(fact: HostFact) -> HostFact:
        if isinstance(fact.fact, DensityResult):
            return replace(fact, fact=replace(fact.fact, stop_reason=StopReason.MEMORY_LIMIT))
        if isinstance(fact.fact, Forecast):
            return replace(fact, fact=replace(fact.fact, constraint=StopReason.MEMORY_LIMIT))
        return fact

    told = warnings(replace(data, facts=tuple(of_group(fact) for fact in data.facts)))
    assert told
    assert not any("the ramp" in one for one in told)


def test_steady_foreign_memory_and_an_unknown_one_are_not_told() -> None:
    assert warnings(with_foreign(lambda count: 800 * MB + count)) == []
    assert warnings(sample_run()) == []


def test_the_warning_changes_no_figure() -> None:
    spoiled = assemble(with_foreign(lambda count: (180 if count else 20) * MB))
    plain = assemble(sample_run())
    assert spoiled.footprint == plain.footprint
    assert [row.instances for row in spoiled.density] == [row.instances for row in plain.density]


def test_each_step_shows_foreign_memory() -> None:
    row = assemble(with_foreign(lambda count: 7 * MB + count)).density[0]
    assert [step.foreign_bytes for step in row.steps] == [
        7 * MB + step.instances for step in row.steps
    ]
    assert assemble(sample_run()).density[0].steps[0].foreign_bytes is None
