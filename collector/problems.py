"""From a problem that came over the wire to the error that it was."""

from __future__ import annotations

from collector import errors
from tonnage.model import Problem, ProblemKind

_CLASSES: dict[ProblemKind, type[errors.TonnageError]] = {
    ProblemKind.INVALID_INPUT: errors.InvalidInput,
    ProblemKind.UNAVAILABLE: errors.Unreachable,
    ProblemKind.LEAKED: errors.InstancesLeaked,
}


def error_of(problem: Problem) -> errors.TonnageError:
    """Return the error that ``problem`` was, as near as its kind tells."""
    cls = _CLASSES.get(problem.kind, errors.TonnageError)
    error = cls(problem.message, field=problem.field, value=problem.value, remedy=problem.remedy)
    error.problem = problem
    return error
