"""One launch before it is made, how it went, and what became of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from agent.errors import TonnageError
from agent.runner.holdings import Holding
from agent.runtimes.base import ParentGroup, Prepared
from tonnage.model import Accelerator, Outcome, Population, Target, Trial, TrialEnd


@dataclass(frozen=True, slots=True)
class Order:
    """Everything about one launch, decided before it."""

    run_id: str
    stage_id: str
    trial_id: str
    target: Target
    prepared: Prepared
    accelerator: Accelerator
    population: Population
    number: int
    block: int
    concurrency: int
    fill: int
    ready_timeout_seconds: float
    lifetime_seconds: float
    noisy_above_share: float
    attempt: int = 1
    parent: ParentGroup | None = None
    due_seconds: float | None = None
    cold_bytes: int | None = None
    cold_cached_bytes: int | None = None

    def trial(self, outcome: Outcome, error: str = "") -> Trial:
        """The row as it is before anything was measured."""
        return Trial(
            trial_id=self.trial_id,
            stage_id=self.stage_id,
            target_id=self.target.id,
            accelerator=self.accelerator,
            population=self.population,
            concurrency=self.concurrency,
            block=self.block,
            number=self.number,
            attempt=self.attempt,
            outcome=outcome,
            requested_at_unix_ns=time.time_ns(),
            error=error,
            image_digest=self.prepared.digest,
            guest_root=self.prepared.guest_root,
            fill=self.fill,
            cold_bytes=self.cold_bytes,
            cold_cached_bytes=self.cold_cached_bytes,
        )


@dataclass(frozen=True, slots=True)
class Start:
    """How a launch went. ``error`` and ``evidence`` are empty when it became ready."""

    outcome: Outcome
    error: str = ""
    evidence: str = ""
    cpu_ns: int | None = None
    failure: TonnageError | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A trial with its outcome. ``end`` is there when the instance is gone already;
    ``holding`` while it lives."""

    trial: Trial
    start: Start
    holding: Holding
    end: TrialEnd | None = None

    @property
    def launched(self) -> bool:
        """Whether anything was asked of the runtime; if not, there is no trial."""
        return self.holding.timeline is not None
