"""Who is starting, who lives and who is leaving: the bookkeeping every experiment shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.experiments.base import Destroy, Instruction, Launch
from tonnage.model import Outcome, Problem, ProblemKind, Trial


class Ledger:
    """Follows each instance from its launch order to its removal.

    Guarantee: a trial that became ready is in exactly one ``Destroy``, and only
    if ``destroy`` is called for it; one that did not is in none. An answer that
    was not asked for is a ``KeyError``: a defect of the caller.
    """

    def __init__(self) -> None:
        self._starting: dict[str, Launch] = {}
        self._live: dict[str, Trial] = {}
        self._leaving: dict[str, None] = {}

    @property
    def live(self) -> tuple[str, ...]:
        """Trials whose instances are ready and not on their way out, oldest first."""
        return tuple(self._live)

    @property
    def in_flight(self) -> int:
        """Launches without an outcome, and instances being destroyed."""
        return len(self._starting) + len(self._leaving)

    def launch(self, orders: Iterator[Launch], room: int) -> list[Instruction]:
        """Take up to ``room`` orders."""
        taken = [order for _, order in zip(range(room), orders, strict=False)]
        self._starting.update((order.trial_id, order) for order in taken)
        return [*taken]

    def done(self, trial: Trial) -> Launch:
        """Note an outcome; return the order it answers."""
        order = self._starting.pop(trial.trial_id)
        if trial.outcome is Outcome.READY:
            self._live[trial.trial_id] = trial
        return order

    def destroy(self, trial_ids: Iterable[str]) -> list[Instruction]:
        """Send live instances away; nothing for none."""
        chosen = tuple(trial_ids)
        for trial_id in chosen:
            del self._live[trial_id]
            self._leaving[trial_id] = None
        return [Destroy(chosen)] if chosen else []

    def gone(self, trial_id: str) -> None:
        """Note that an instance is destroyed."""
        del self._leaving[trial_id]


def failure(trial: Trial) -> Problem:
    """The problem of a trial that did not become ready."""
    why = trial.error or f"it ended {trial.outcome}"
    return Problem(
        ProblemKind.LAUNCH_FAILED,
        f"The launch of {trial.trial_id} did not become ready: {why}",
        remedy="The trial's evidence holds its last console lines.",
    )
