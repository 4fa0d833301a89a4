"""Every error the agent raises on purpose.

::

    TonnageError                   carries a Problem; str() is for people
    ├── InvalidInput               the request or plan is wrong
    │   ├── ImageNotFound          no such image on this host
    │   ├── ConfigError            the agent's own configuration
    │   └── NoSuchInstance / NoSuchRun
    ├── RuntimeUnavailable         an engine or VMM is not there, or went away
    ├── LaunchFailed               a launch did not become ready; has evidence
    │   └── InstanceExited         it ended before it was ready
    ├── NoAnswer                   a workload that was asked did not answer
    ├── InstanceLeaked             something survived its removal
    ├── GuardTripped               a guard of the agent forbids the next step
    ├── RunActive                  another run holds the agent
    ├── RunEnded                   the run is over: what was asked comes too late
    ├── AgentStopping              the agent stops; its run goes on at its next start
    └── SpoolError
        ├── SpoolFull              the outbox reached its size cap or the disk is full
        └── SpoolCorrupt           a record before the last fails its checksum

Causes are chained. Errors of libraries are translated once, at their border.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tonnage.model import Problem, ProblemKind, StopReason


class TonnageError(Exception):
    """Base of the agent's errors.

    ``message`` is one sentence without its full stop; ``field``, ``value`` and
    ``remedy`` say what it is about and the way out.
    """

    kind = ProblemKind.INTERNAL

    def __init__(self, message: str, *, field: str = "", value: str = "", remedy: str = "") -> None:
        self.problem = Problem(self.kind, message, field, value, remedy)
        super().__init__(str(self.problem))


class InvalidInput(TonnageError):
    """The request or plan is wrong; nothing was started."""

    kind = ProblemKind.INVALID_INPUT


class ImageNotFound(InvalidInput):
    """No such image on this host, and pulling was not allowed or failed."""


class ConfigError(InvalidInput):
    """The agent's own configuration is wrong, or a folder or port is unusable."""


class NoSuchInstance(InvalidInput):
    """The agent holds no instance of that id."""


class NoSuchRun(InvalidInput):
    """The agent knows no run of that id."""


class RuntimeUnavailable(TonnageError):
    """An engine or VMM is not there, or went away."""

    kind = ProblemKind.UNAVAILABLE


class LaunchFailed(TonnageError):
    """A launch did not become ready.

    ``evidence`` holds what a person needs to see why: the last console lines,
    the exit code, the command.
    """

    kind = ProblemKind.LAUNCH_FAILED

    def __init__(self, message: str, *, evidence: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.evidence = evidence
        self.problem = replace(self.problem, evidence=evidence)


class InstanceExited(LaunchFailed):
    """The instance ended before it was ready."""


class NoAnswer(TonnageError):
    """A workload was asked on its console and did not answer in time, or at all."""

    kind = ProblemKind.UNAVAILABLE


class InstanceLeaked(TonnageError):
    """Something of an instance survived its removal; the message says what.

    ``problem.value`` holds the instance's id; of several, all joined by ``", "``.
    """

    kind = ProblemKind.LEAKED


def all_leaked(failures: Mapping[str, TonnageError]) -> InstanceLeaked:
    """One error for the instances that could not be removed, by their ids."""
    said = "; ".join(failure.problem.message for failure in failures.values())
    return InstanceLeaked(said, value=", ".join(failures), remedy="Run: tonnage clean.")


class GuardTripped(TonnageError):
    """A guard of the agent forbids the next step."""

    kind = ProblemKind.GUARD

    def __init__(self, message: str, reason: StopReason, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason


class RunActive(TonnageError):
    """Another run holds the agent: runs never overlap on one host.

    On the wire a status of its own, ABORTED: what holds the agent will end by
    itself, whereas an unavailable runtime (FAILED_PRECONDITION) must be mended.
    """

    kind = ProblemKind.UNAVAILABLE


class RunEnded(TonnageError):
    """The run is over: what was asked comes too late."""

    kind = ProblemKind.UNAVAILABLE


class AgentStopping(TonnageError):
    """The agent stops; its run goes on when it is started again."""

    kind = ProblemKind.UNAVAILABLE


class SpoolError(TonnageError):
    """The outbox cannot take or give events."""


class SpoolFull(SpoolError):
    """The outbox reached its size cap, or its disk is full."""

    kind = ProblemKind.GUARD


class SpoolCorrupt(SpoolError):
    """A record other than a torn last one fails its checksum."""
