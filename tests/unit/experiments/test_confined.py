"""Density under a hard limit: what is carried, what is foretold, and who is to blame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.experiments.base import Launch
from agent.experiments.confined import blamed, foresee_limit
from agent.experiments.density import Density
from agent.experiments.forecast import NoForecast
from agent.experiments.verdict import Breach
from tests.unit.experiments.shell import CANCELLED, MIB, Shell, trial_of
from tonnage.model import (
    DensityResult,
    DensityStage,
    Forecast,
    Outcome,
    Population,
    Sample,
    Slo,
    Step,
    StopReason,
)

LIMIT = 256 * MIB


def stage(step: int = 1, probes: int = 0, most: int = 200, slo: Slo | None = None) -> DensityStage:
    ramp = DensityStage("docker", step, most, probes, slo or Slo(), 3, 0.0, 10)
    return replace(ramp, memory_limit_bytes=LIMIT)


@dataclass
class Group:
    """A group under the limit: each instance holds ``each``, a start needs ``start`` at its
    highest. ``kills_another``: the kernel takes one that lives instead of the new one."""

    each: int
    start: int
    base: int = MIB
    kills_another: bool = False
    fill: int = 0
    kills: int = 0
    peak: int = 0

    @property
    def carried(self) -> int:
        """So many live side by side, and not one more."""
        return max(0, math.floor((LIMIT - self.start - self.base) / self.each) + 1)

    def ending(self, order: Launch) -> Outcome:
        held = self.base + self.each * self.fill
        self.peak = max(self.peak, min(held + self.start, LIMIT))
        fits = held + self.start <= LIMIT
        self.kills += not fits
        if not fits and not self.kills_another:
            return Outcome.FAILED
        probe = order.population is Population.PROBE
        self.fill += (0 if probe else 1) - (0 if fits else 1)
        return Outcome.READY

    def weigh(self, count: int) -> Sample:
        held = self.base + self.each * self.fill
        peak, self.peak = max(self.peak, held), 0
        return Sample(
            count,
            self.fill,
            self.fill,
            mem_available_bytes=(20_000 - count) * MIB,
            group_bytes=held,
            group_peak_bytes=peak,
            oom_kills=self.kills,
        )


groups = st.builds(
    Group,
    each=st.integers(5 * MIB, 20 * MIB),
    start=st.integers(20 * MIB, 40 * MIB),
    kills_another=st.booleans(),
)


def outcome(shell: Shell) -> tuple[DensityResult, Forecast | None]:
    (result,) = (fact for fact in shell.records if isinstance(fact, DensityResult))
    forecasts = [fact for fact in shell.records if isinstance(fact, Forecast)]
    return result, forecasts[0] if forecasts else None


def ramp(group: Group, work: DensityStage) -> Shell:
    return Shell(Density("d", work), ending=group.ending, weigh=group.weigh).run()


@given(groups, st.integers(1, 7), st.integers(0, 2))
def test_the_limit_is_found_to_one_instance_and_the_kernel_is_named(
    group: Group, step: int, probes: int
) -> None:
    result, _ = outcome(ramp(group, stage(step, probes)))
    assert result.limit_instances == group.carried
    assert result.stop_reason is StopReason.MEMORY_LIMIT
    assert "256.0 MiB" in result.binding_constraint
    assert f"{group.carried} held" in result.binding_constraint


@given(groups, st.integers(1, 2), st.integers(0, 2))
def test_without_noise_forecast_and_limit_are_the_same_number(
    group: Group, step: int, probes: int
) -> None:
    result, forecast = outcome(ramp(group, stage(step, probes)))
    if forecast is None:
        assert group.carried < 3 * step + 1  # it ended before there was anything to foretell by
        return
    assert forecast.constraint is StopReason.MEMORY_LIMIT
    assert forecast.limit_instances == result.limit_instances


def test_a_start_that_needs_much_more_than_it_keeps_is_reckoned_with() -> None:
    group = Group(each=MIB // 2, start=30 * MIB)
    result, forecast = outcome(ramp(group, stage(step=50, most=1000)))
    assert forecast is not None
    assert forecast.limit_instances == result.limit_instances == group.carried == 451


def test_what_lives_when_a_launch_failed_is_measured_before_the_end() -> None:
    shell = ramp(Group(each=20 * MIB, start=20 * MIB), stage(step=5))
    steps = [fact for fact in shell.records if isinstance(fact, Step)]
    assert [step.sample.instances for step in steps] == [0, 5, 10, 12]
    assert steps[-1].met_slo
    assert outcome(shell)[0].limit_instances == 12


def test_a_cap_below_the_limit_proves_nothing_about_memory() -> None:
    result, forecast = outcome(ramp(Group(each=10 * MIB, start=20 * MIB), stage(most=5)))
    assert (result.stop_reason, result.limit_instances) == (StopReason.MAX_INSTANCES, 5)
    assert forecast is not None
    assert (forecast.constraint, forecast.limit_instances) == (StopReason.MAX_INSTANCES, 5)


def test_a_launch_that_fails_far_from_the_limit_is_not_laid_to_memory() -> None:
    group = Group(each=10 * MIB, start=20 * MIB)

    def third_fails(order: Launch) -> Outcome:
        return Outcome.FAILED if order.number == 2 else group.ending(order)

    shell = Shell(Density("d", stage()), ending=third_fails, weigh=group.weigh).run()
    result, _ = outcome(shell)
    assert (result.stop_reason, result.limit_instances) == (StopReason.LAUNCH_FAILED, 2)
    assert "killed 0" in result.binding_constraint


def test_a_stop_after_a_launch_failed_leaves_that_the_reason() -> None:
    group = Group(each=100 * MIB, start=100 * MIB)
    ends = set()
    for after in range(12):
        shell = Shell(
            Density("d", stage()), group.ending, group.weigh, stop_after=after, stop=CANCELLED
        )
        group.fill = group.kills = 0
        ends.add(outcome(shell.run())[0].stop_reason)
    assert ends == {StopReason.CANCELLED, StopReason.LAUNCH_FAILED, StopReason.MEMORY_LIMIT}


def test_another_demand_that_breaks_counts_what_lives_out() -> None:
    group = Group(each=20 * MIB, start=20 * MIB)

    @dataclass
    class Pressed:
        last: list[int] = field(default_factory=list)

        def weigh(self, count: int) -> Sample:
            self.last.append(count)
            full = count == 12
            return replace(group.weigh(count), memory_some_avg10=50.0 if full else 0.0)

    work = stage(step=5, slo=Slo(memory_some_avg10=10))
    shell = Shell(Density("d", work), ending=group.ending, weigh=Pressed().weigh).run()
    assert outcome(shell)[0].limit_instances == 10


@pytest.mark.parametrize("missing", ["group_bytes", "group_peak_bytes"])
def test_without_readings_of_the_group_nothing_is_foretold(missing: str) -> None:
    group = Group(each=10 * MIB, start=20 * MIB)
    nothing: dict[str, Any] = {missing: None}
    samples = [replace(group.weigh(n), **nothing) for n in range(4)]
    assert isinstance(foresee_limit("d", stage(), samples), NoForecast)


def test_only_a_failure_is_laid_to_the_limit() -> None:
    before, now = Sample(1, 1, 1, oom_kills=0), Sample(2, 2, 2, oom_kills=1)
    slow = Breach(StopReason.SLO_READY, "too slow")
    assert blamed(slow, stage(), before, now) is slow
    dead = Breach(StopReason.INSTANCES_DIED, "1 of 2 are alive")
    assert blamed(dead, stage(), before, now).reason is StopReason.MEMORY_LIMIT
    assert blamed(dead, replace(stage(), memory_limit_bytes=None), before, now) is dead


@pytest.mark.parametrize(
    ("share", "kills", "each", "laid"),
    [
        (0.98, 0, 0.4, True),
        (0.95, 0, 0.4, False),
        (0.95, 2, 0.4, True),
        (0.95, 2, 0.05, False),  # one more would have fitted
        (0.75, 2, 0.4, False),
    ],
)
def test_a_kill_counts_for_the_limit_where_too_little_was_left_for_one_more(
    share: float, kills: int, each: float, laid: bool
) -> None:
    work = stage()
    limit = work.memory_limit_bytes or 0
    peak = int(share * limit)
    before = Sample(2, 2, 2, oom_kills=3, group_bytes=int(2 * each * limit))
    now = Sample(2, 2, 2, oom_kills=3 + kills, group_peak_bytes=peak)
    found = blamed(Breach(StopReason.INSTANCES_DIED, "1 of 2 are alive"), work, before, now)
    assert (found.reason is StopReason.MEMORY_LIMIT) is laid


def test_the_row_of_a_launch_is_what_a_host_makes_of_it() -> None:
    """The group's own model of a start agrees with the shell's."""
    order = Launch("t", "docker", Population.FILL, 0)
    assert trial_of(order, Group(each=MIB, start=MIB).ending(order)).outcome is Outcome.READY
