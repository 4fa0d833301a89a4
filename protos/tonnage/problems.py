"""How a typed error crosses gRPC: as a ``Problem`` in the trailing metadata."""

from __future__ import annotations

from grpc import aio

from tonnage.model import Problem
from tonnage.wire import WireError, from_bytes, to_bytes

PROBLEM_KEY = "tonnage-problem-bin"
"""Trailing metadata that carries a serialised ``Problem``."""


def attached(problem: Problem) -> tuple[str, tuple[tuple[str, bytes]]]:
    """Return the status details and the metadata that tell ``problem``."""
    short = problem.shortened()
    return str(short), ((PROBLEM_KEY, to_bytes(short)),)


def carried(error: aio.AioRpcError) -> Problem | None:
    """Return the problem that came with ``error``, if one did and can be read."""
    for key, value in error.trailing_metadata() or ():
        if key == PROBLEM_KEY and isinstance(value, bytes):
            try:
                return from_bytes(value, Problem)
            except WireError:
                return None
    return None
