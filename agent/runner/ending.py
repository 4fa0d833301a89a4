"""The last event of a run: how it ended, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agent.runner.sweeping import Sweep
from agent.storage.runbook import Stop
from tonnage.model import Problem, ProblemKind, RunFinished, RunState, StopReason


def last_event(
    stop: Stop | None, problems: Sequence[Problem], swept: Sweep, ready_trials: int
) -> RunFinished:
    """``problems``: what prevented its work, the first cause first."""
    problem = _problem(stop, (*problems, *swept.problems), swept)
    state = _state(stop, problem, ready_trials)
    return RunFinished(state, problem, tuple(swept.removed), tuple(swept.leaked))


def _problem(stop: Stop | None, problems: Sequence[Problem], swept: Sweep) -> Problem | None:
    if problems:
        return problems[0]
    if stop is not None and stop.reason is not StopReason.CANCELLED:
        return Problem(ProblemKind.GUARD, stop.message)
    if swept.leaked:
        return Problem(
            ProblemKind.LEAKED,
            f"{len(swept.leaked)} instances survived their removal",
            value=", ".join(swept.leaked),
            remedy="Run: tonnage clean.",
        )
    return None


def _state(stop: Stop | None, problem: Problem | None, ready_trials: int) -> RunState:
    if stop is not None and stop.reason is StopReason.CANCELLED:
        return RunState.CANCELLED
    if problem is None or problem.kind is ProblemKind.LEAKED:
        return RunState.FINISHED  # its work is done; what leaked is named beside
    return RunState.PARTIAL if ready_trials else RunState.FAILED
