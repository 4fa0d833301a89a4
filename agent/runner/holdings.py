"""The instances that this agent holds now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from agent.clock import Timeline
from agent.runtimes.base import Instance
from agent.storage.journal import Entry
from tonnage.model import InstanceInfo, Outcome, Target


@dataclass(slots=True, eq=False)
class Holding:
    """One instance from before its launch until nothing of it is left.

    ``state`` is starting, ready, stopping, or orphaned for one that survived
    its removal or an earlier life of the agent.
    """

    entry: Entry
    target: Target | None = None
    timeline: Timeline | None = None
    instance: Instance | None = None
    state: str = "starting"
    cancelled: bool = False
    outcome_when_cancelled: Outcome = Outcome.CANCELLED
    deadline: asyncio.Timeout | None = None

    @property
    def id(self) -> str:
        """The instance's id."""
        return self.entry.instance_id

    def cancel(self, outcome: Outcome = Outcome.CANCELLED) -> None:
        """End the start now, with this outcome: it is not waited for any longer. No effect
        once it is ready, or while a start whose time is over cleans up after itself."""
        if self.cancelled or (self.deadline is not None and self.deadline.expired()):
            return
        self.outcome_when_cancelled = outcome
        self.cancelled = True
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time())
            self.deadline = None

    def pids(self) -> tuple[int, ...]:
        """Its processes now."""
        return self.instance.processes().pids if self.instance is not None else ()

    def info(self) -> InstanceInfo:
        """What a person is shown."""
        trial = self.entry.trial
        requested = self.timeline.requested_at_unix_ns if self.timeline else None
        return InstanceInfo(
            instance_id=self.id,
            runtime=self.entry.runtime,
            run_id=self.entry.run_id,
            trial_id=trial.trial_id,
            state=self.state,
            requested_at_unix_ns=requested or trial.requested_at_unix_ns,
            image=self.entry.image,
        )


class Holdings:
    """All holdings, in the order of their launches."""

    def __init__(self) -> None:
        self._held: dict[str, Holding] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Holding]:
        return iter(list(self._held.values()))  # a snapshot: the metrics thread reads it too

    def add(self, holding: Holding) -> None:
        """Hold one more."""
        self._held[holding.id] = holding

    def drop(self, holding: Holding) -> None:
        """Nothing of it is left."""
        self._held.pop(holding.id, None)

    def get(self, instance_id: str) -> Holding | None:
        """The holding of that id."""
        return self._held.get(instance_id)

    def of_run(self, run_id: str) -> list[Holding]:
        """Those of one run; those launched by hand for the empty id."""
        return [holding for holding in self if holding.entry.run_id == run_id]
