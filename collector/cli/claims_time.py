"""The time that all experiments of the claims have together."""

from __future__ import annotations

import time
from collections.abc import Callable

from collector.spec import Spec

WHOLE_SECONDS = 30 * 60.0
_LAST_SECONDS = 60.0  # of the whole are left for cleaning up, judging and writing
_LEAST_SECONDS = 30.0  # in less an experiment is not worth beginning


class Allowance:
    """What is left of the whole, from the moment it is made."""

    over = f"the {WHOLE_SECONDS / 60:g} minutes of all experiments together are over"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = clock() + WHOLE_SECONDS - _LAST_SECONDS

    def within(self, experiment: Spec) -> Spec | None:
        """The experiment with no more time than is left; ``None`` if that is too little."""
        left = self._until - self._clock()
        if left < _LEAST_SECONDS:
            return None
        if experiment.time_limit <= left:
            return experiment
        return experiment.model_copy(update={"time_limit": float(int(left))})

    @property
    def is_over(self) -> bool:
        """Whether nothing is left: what ran until now was cut short, if it did not finish."""
        return self._until - self._clock() < 1
