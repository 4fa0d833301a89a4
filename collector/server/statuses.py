"""The one place where errors become gRPC statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from grpc import StatusCode, aio

from collector import errors
from tonnage.model import Problem, ProblemKind
from tonnage.problems import attached
from tonnage.surrounding import Call, Context, Surrounding
from tonnage.wire import WireError

_log = structlog.get_logger(__name__)

# The first class that fits, in this order.
_CODES: tuple[tuple[type[errors.TonnageError], StatusCode], ...] = (
    (errors.NoSuchRun, StatusCode.NOT_FOUND),
    (errors.NoSuchHost, StatusCode.NOT_FOUND),
    (errors.NoSuchInstance, StatusCode.NOT_FOUND),
    (errors.NoSuchToken, StatusCode.NOT_FOUND),
    (errors.Forbidden, StatusCode.PERMISSION_DENIED),
    (errors.WrongState, StatusCode.FAILED_PRECONDITION),
    (errors.InvalidInput, StatusCode.INVALID_ARGUMENT),
    (errors.Unreachable, StatusCode.UNAVAILABLE),
)
_CODES_BY_KIND = {
    ProblemKind.INVALID_INPUT: StatusCode.INVALID_ARGUMENT,
    ProblemKind.UNAVAILABLE: StatusCode.UNAVAILABLE,
    ProblemKind.LAUNCH_FAILED: StatusCode.FAILED_PRECONDITION,
    ProblemKind.GUARD: StatusCode.FAILED_PRECONDITION,
    ProblemKind.LEAKED: StatusCode.FAILED_PRECONDITION,
    ProblemKind.INTERNAL: StatusCode.INTERNAL,
}


def status_of(error: errors.TonnageError) -> StatusCode:
    """The status that tells ``error``."""
    for cls, code in _CODES:
        if isinstance(error, cls):
            return code
    return _CODES_BY_KIND[error.problem.kind]


def status_of_any(error: Exception) -> StatusCode:
    """The status that a call ends with which raised ``error``, a defect included."""
    if isinstance(error, WireError):
        return StatusCode.INVALID_ARGUMENT
    return status_of(error) if isinstance(error, errors.TonnageError) else StatusCode.INTERNAL


class ErrorBorder(Surrounding):
    """Turns what a method raises into a status with its ``Problem`` attached."""

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """See ``Surrounding``."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the border: everything is told, defects as such
            await _abort(call.context, error, call.method)


async def _abort(context: Context, error: Exception, method: str) -> None:
    if isinstance(error, aio.AbortError):
        raise error
    if isinstance(error, WireError):
        error = errors.InvalidInput(str(error), remedy="Use the same version on both sides.")
    if isinstance(error, errors.TonnageError):
        code, problem = status_of(error), error.problem
        _log.info("refused", method=method, status=code.name, why=str(error))
    else:
        _log.error("a defect", method=method, exc_info=error)
        code = StatusCode.INTERNAL
        problem = Problem(
            ProblemKind.INTERNAL,
            f"a defect of Tonnage: {error!r}",
            remedy="The collector's log has the whole story.",
        )
    details, metadata = attached(problem)
    await context.abort(code, details, metadata)
