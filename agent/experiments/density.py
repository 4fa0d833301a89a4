"""The density experiment: how many instances the host carries.

A ramp. Each step adds ``step`` fill instances (``concurrency`` in flight),
starts the probe instances one after another, each destroyed at once, rests, and
measures. Step 0 is the empty host: probes and a measurement, so that start
latency and memory have their zero. Each step is recorded before the next begins.

**Closing in.** Beyond a step that failed the truth lies between two levels. The
ramp destroys its newest instances and closes in on the limit to the declared
``resolution`` (``bracket``): every level on the way is a step like any other, so
steps go down and up. Nothing closes in on a launch that failed or instances that
died: a launch is never repeated, and a host that loses instances is left alone.

**Limit.** The largest number of fill instances at which every demand held
(``verdict.judge``): a number that was measured, never interpolated. The binding
constraint names the smallest at which one did not. What cuts the closing in
short does not unmake it: the demand that broke stays the reason.

**Hard limit.** With ``memory_limit_bytes`` every instance lives below one memory
cgroup, and the kernel decides. What lives when a launch failed is measured once
more: a launch that failed is no number. The limit is then the largest number that
was measured alive and answering, to one instance whatever the step is
(``confined``); whether the group was to blame its own readings tell.

**Forecast.** Once ``forecast_after_steps`` steps beyond the empty host hold,
and at least three points are there, the limit is foreseen and recorded, before
the next launch. Where the points foretell nothing, a notice says why, and the
next step tries again. A ramp that ends earlier has no forecast.

**Restart of the agent.** Instances do not outlive the agent. A ramp that goes on
(``agent.experiments.course``) first has its fill launched again, as further
attempts of the same trials; its steps and probes so far stand. One that cannot
be launched again shows in the next sample, as an instance that died does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum, auto

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
from agent.experiments.bracket import Bracket
from agent.experiments.confined import blamed, largest_carried
from agent.experiments.forecast import NoForecast
from agent.experiments.foresight import foresee
from agent.experiments.ledger import Ledger, failure
from agent.experiments.verdict import Breach, judge, mebibytes, quantile, start_seconds, used_bytes
from tonnage.model import (
    DensityResult,
    DensityStage,
    Notice,
    Outcome,
    Population,
    Problem,
    ProblemKind,
    Sample,
    Step,
    StopReason,
    Trial,
)

# Ends that say nothing about how many instances the host carries.
_CUT_SHORT = (StopReason.CANCELLED, StopReason.TIME_LIMIT, StopReason.DISK_HEADROOM)
# Breaches that end the ramp where it is.
_AT_ONCE = (StopReason.LAUNCH_FAILED, StopReason.INSTANCES_DIED)


class _Phase(Enum):
    FILLING = auto()
    PROBING = auto()
    MEASURING = auto()
    ENDING = auto()
    ENDED = auto()


class Density:
    """The density experiment as a state machine.

    ``guard_floor_bytes``: the MemAvailable at which the agent's own guard stops
    a run; the forecast takes it into account.
    """

    trials_expected = 0  # where the ramp ends is what is to be found out

    def __init__(self, stage_id: str, stage: DensityStage, guard_floor_bytes: int = 0) -> None:
        self._stage_id = stage_id
        self._stage = stage
        self._guard_floor_bytes = guard_floor_bytes
        self._ledger = Ledger()
        self._phase = _Phase.FILLING
        self._orders: Iterator[Launch] = iter(())
        self._level = 0
        self._filled = 0
        self._samples: list[Sample] = []
        self._probes: list[Trial] = []
        self._bracket = Bracket()
        self._breach: Breach | None = None
        self._failed: Trial | None = None
        self._refused: Breach | None = None
        self._stopped: Stopped | None = None
        self._foreseen = False
        self._excused = False

    def start(self) -> list[Instruction]:
        """Begin with the empty host."""
        return self._begin(0)

    def handle(self, event: ExperimentEvent) -> list[Instruction]:
        """Answer an event; late ones, after ``Finish``, change nothing."""
        if self._phase is _Phase.ENDED:
            return []
        match event:
            case TrialDone(trial):
                return self._done(trial)
            case Destroyed(trial_id):
                self._ledger.gone(trial_id)
                return self._advance()
            case Measured(sample):
                return self._measured(sample) if self._phase is _Phase.MEASURING else []
            case Answered():
                return []
            case Stopped():
                return self._cut_short(event)

    # --- a step: fill, probe, measure

    def _begin(self, level: int) -> list[Instruction]:
        self._level = level
        self._probes = []
        self._phase = _Phase.FILLING
        surplus = self._ledger.destroy(self._ledger.live[level:])
        self._orders = self._fill_orders(level - len(self._ledger.live))
        return [*surplus, *self._advance()]

    def _fill_orders(self, count: int) -> Iterator[Launch]:
        """Numbers go on where the ramp went down and up again: no trial has two launches."""
        for _ in range(count):
            self._filled += 1
            yield Launch(
                f"{self._stage_id}/fill/{self._filled - 1:04d}",
                self._stage.target_id,
                Population.FILL,
                self._filled - 1,
                block=len(self._samples),
                concurrency=self._stage.concurrency,
                fill=len(self._ledger.live),
            )

    def _probe_orders(self) -> Iterator[Launch]:
        step = len(self._samples)
        for index in range(self._stage.probes):
            yield Launch(
                f"{self._stage_id}/step-{step:03d}/probe-{index:03d}",
                self._stage.target_id,
                Population.PROBE,
                step * self._stage.probes + index,
                block=step,
                fill=self._level,
            )

    def _advance(self) -> list[Instruction]:
        """Go on with the phase, and to the next one when nothing is in flight."""
        if self._phase is _Phase.ENDING:
            return self._wind_down()
        if self._phase is _Phase.MEASURING:
            return []
        width = self._stage.concurrency if self._phase is _Phase.FILLING else 1
        issued = self._ledger.launch(self._orders, width - self._ledger.in_flight)
        if self._ledger.in_flight:
            return issued
        if self._phase is _Phase.FILLING:
            self._phase = _Phase.PROBING
            self._orders = self._probe_orders()
            return self._advance()
        self._phase = _Phase.MEASURING
        return [Measure(self._ledger.live, self._stage.settle_seconds)]

    def _done(self, trial: Trial) -> list[Instruction]:
        order = self._ledger.done(trial)
        ready = trial.outcome is Outcome.READY
        if self._phase is _Phase.ENDING:
            return self._wind_down()
        if order.population is Population.PROBE:
            self._probes.append(trial)
            if ready:
                return self._ledger.destroy([trial.trial_id])
            self._orders = iter(())  # the step is lost: measure it, then end
        elif not ready:
            return self._fill_failed(trial)
        return self._advance()

    def _fill_failed(self, trial: Trial) -> list[Instruction]:
        self._failed = trial
        why = trial.error or f"it ended {trial.outcome}"
        alive = len(self._ledger.live)
        text = f"a launch with {alive} instances up did not become ready: {why}"
        breach = Breach(StopReason.LAUNCH_FAILED, text)
        if self._stage.memory_limit_bytes is None:
            return self._end(breach)
        self._refused = breach
        self._orders = iter(())
        self._level = alive
        self._phase = _Phase.PROBING  # without probes: what lives is measured, then the end
        return self._advance()

    # --- the verdict on a step

    def _measured(self, sample: Sample) -> list[Instruction]:
        self._samples.append(sample)
        broken = judge(self._stage, self._samples[0], sample, self._probes)
        step = Record(self._step(sample, met_slo=broken is None))
        breach = self._refused or broken
        if breach is None:
            self._bracket = replace(self._bracket, held=self._level)
        else:
            self._bracket = self._failed_at(breach, broken, sample)
            self._breach = blamed(breach, self._stage, self._samples[-2:][0], sample)
        level = self._bracket.next_level(self._stage)
        if level is None or (breach is not None and breach.reason in _AT_ONCE):
            return [step, *self._end(self._found(sample))]
        return [step, *self._foresee(), *self._begin(level)]

    def _failed_at(self, breach: Breach, broken: Breach | None, sample: Sample) -> Bracket:
        """The bracket once a demand broke. Under a hard limit those that live are carried,
        unless they break another demand, and one more is not."""
        at_once = all(one.reason in _AT_ONCE for one in (breach, broken or breach))
        if self._stage.memory_limit_bytes is None or not at_once:
            return replace(self._bracket, failed=self._level)
        probe_ready = bool(self._probes) and self._probes[-1].outcome is Outcome.READY
        carried = max(self._bracket.held, largest_carried(sample, probe_ready))
        return Bracket(held=carried, failed=carried + 1)

    def _step(self, sample: Sample, *, met_slo: bool) -> Step:
        """``met_slo`` tells whether every demand held, the memory budget included."""
        starts = start_seconds(self._probes)
        return Step(
            self._stage_id,
            len(self._samples) - 1,
            sample,
            probes=len(self._probes),
            met_slo=met_slo,
            probe_p50_seconds=quantile(starts, 0.5),
            probe_p95_seconds=quantile(starts, 0.95),
        )

    def _found(self, sample: Sample) -> Breach:
        """What bounds the limit: the demand that broke, or a cap that was reached."""
        if self._breach is None:
            used = mebibytes(used_bytes(self._samples[0], sample))
            text = (
                f"max_instances {self._stage.max_instances}, a cap of this experiment's own, was"
                f" reached with {used} used: it proves nothing about memory"
            )
            return Breach(StopReason.MAX_INSTANCES, text)
        return Breach(self._breach.reason, f"{self._breach.constraint} ({self._where()})")

    def _where(self) -> str:
        if not self._bracket.failed:
            return "on the empty host"
        return f"at {self._bracket.failed} instances; {self._bracket.held} held"

    def _foresee(self) -> list[Instruction]:
        due = max(2, self._stage.forecast_after_steps)  # steps beyond the empty host
        if self._foreseen or self._breach is not None or len(self._samples) <= due:
            return []
        foreseen = foresee(self._stage_id, self._stage, self._samples, self._guard_floor_bytes)
        if not isinstance(foreseen, NoForecast):
            self._foreseen = True
            return [Record(foreseen)]
        if self._excused:
            return []
        self._excused = True
        text = f"no forecast after {len(self._samples) - 1} steps: {foreseen.reason}"
        return [Record(Notice(text, self._stage_id))]

    # --- the end

    def _cut_short(self, stopped: Stopped) -> list[Instruction]:
        """Once a demand broke, a stop ends no more than the closing in."""
        if self._phase is _Phase.ENDING:
            return self._wind_down()
        self._stopped = stopped
        if self._breach is None:
            return self._end(self._refused or Breach(stopped.reason, stopped.message))
        text = f"{self._breach.constraint} ({self._where()}; then cut short: {stopped.message})"
        return self._end(Breach(self._breach.reason, text))

    def _end(self, why: Breach) -> list[Instruction]:
        """Launch nothing more."""
        self._orders = iter(())
        self._phase = _Phase.ENDING
        limit = self._bracket.held
        result = DensityResult(self._stage_id, limit, why.reason, why.constraint)
        return [Record(result), *self._wind_down()]

    def _wind_down(self) -> list[Instruction]:
        """Destroy what lives, what still becomes ready included; then finish."""
        issued = self._ledger.destroy(self._ledger.live)
        if self._ledger.in_flight:
            return issued
        self._phase = _Phase.ENDED
        return [*issued, Finish(self._problem())]

    def _problem(self) -> Problem | None:
        if self._failed is not None and not self._bracket.held:
            return failure(self._failed)
        if self._stopped is not None and self._stopped.reason in _CUT_SHORT:
            text = f"The ramp was cut short at {self._level} instances: {self._stopped.message}"
            return Problem(ProblemKind.GUARD, text)
        return None
