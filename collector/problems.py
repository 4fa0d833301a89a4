"""How a typed error crosses gRPC: as a ``Problem`` in the trailing metadata."""

from __future__ import annotations

from collections.abc import Sequence

from grpc import aio

from collector import errors
from tonnage import wire
from tonnage.model import Problem, ProblemKind

PROBLEM_KEY = "tonnage-problem-bin"
"""Trailing metadata that carries a serialised ``Problem``."""

_CLASSES: dict[ProblemKind, type[errors.TonnageError]] = {
    ProblemKind.INVALID_INPUT: errors.InvalidInput,
    ProblemKind.UNAVAILABLE: errors.Unreachable,
    ProblemKind.LEAKED: errors.InstancesLeaked,
}


def attached(problem: Problem) -> tuple[str, Sequence[tuple[str, bytes]]]:
    """Return the status details and the metadata that tell ``problem``."""
    short = problem.shortened()
    return str(short), ((PROBLEM_KEY, wire.to_bytes(short)),)


def carried(error: aio.AioRpcError) -> Problem | None:
    """Return the problem that came with ``error``, if one did and can be read."""
    for key, value in error.trailing_metadata() or ():
        if key == PROBLEM_KEY and isinstance(value, bytes):
            try:
                return wire.from_bytes(value, Problem)
            except wire.WireError:
                return None
    return None


def error_of(problem: Problem) -> errors.TonnageError:
    """Return the error that ``problem`` was, as near as its kind tells."""
    cls = _CLASSES.get(problem.kind, errors.TonnageError)
    error = cls(problem.message, field=problem.field, value=problem.value, remedy=problem.remedy)
    error.problem = problem
    return error
