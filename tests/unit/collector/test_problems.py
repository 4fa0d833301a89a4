"""Typed errors on their way through gRPC."""

from __future__ import annotations

import grpc
import pytest
from grpc import aio

from collector import errors
from collector.problems import error_of
from collector.server.statuses import status_of
from tonnage.model import Problem, ProblemKind
from tonnage.problems import PROBLEM_KEY, attached, carried


def _received(metadata: list[tuple[str, bytes]]) -> aio.AioRpcError:
    return aio.AioRpcError(
        grpc.StatusCode.UNKNOWN, aio.Metadata(), aio.Metadata(*metadata), details="x"
    )


def test_a_problem_arrives_as_it_was_sent() -> None:
    problem = Problem(
        ProblemKind.INVALID_INPUT, "it is wrong", "spec.a", "ä\n1", "Mend it.", "seen\nlast"
    )
    details, metadata = attached(problem)
    assert details == str(problem)
    found = carried(_received(list(metadata)))
    assert found == problem
    assert isinstance(error_of(problem), errors.InvalidInput)
    assert str(error_of(problem)) == details


def test_a_long_problem_still_fits_into_the_metadata() -> None:
    long = "ü" * 100_000
    details, metadata = attached(Problem(ProblemKind.INTERNAL, long, "f", long, long, long))
    assert 3 * len(details.encode()) // 2 + len(metadata[0][1]) < 16 * 1024
    found = carried(_received(list(metadata)))
    assert found is not None
    assert found.evidence == "ü" * 750


@pytest.mark.parametrize("metadata", [[], [(PROBLEM_KEY, b"\xff\xff")], [(PROBLEM_KEY, b"")]])
def test_what_cannot_be_read_is_no_problem(metadata: list[tuple[str, bytes]]) -> None:
    assert carried(_received(metadata)) is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NoSuchRun("x"), "NOT_FOUND"),
        (errors.NoSuchHost("x"), "NOT_FOUND"),
        (errors.AmbiguousRun("x"), "INVALID_ARGUMENT"),
        (errors.InvalidInput("x"), "INVALID_ARGUMENT"),
        (errors.Unreachable("x"), "UNAVAILABLE"),
        (errors.StoreError("x"), "INTERNAL"),
        (errors.InstancesLeaked("x"), "FAILED_PRECONDITION"),
        (error_of(Problem(ProblemKind.LAUNCH_FAILED, "x")), "FAILED_PRECONDITION"),
    ],
)
def test_each_error_has_its_status(error: errors.TonnageError, status: str) -> None:
    assert status_of(error).name == status
