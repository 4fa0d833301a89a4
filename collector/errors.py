"""Every error the collector and the command line raise on purpose.

::

    TonnageError                   carries a Problem and an exit code
    ├── InvalidInput      (2)      spec, flag or request is wrong
    │   ├── NoSuchRun / AmbiguousRun / NoSuchHost / NoSuchInstance / NoSuchToken
    │   ├── ConfigError            port, folder or setting unusable
    │   ├── Forbidden              the caller's role or name does not entitle to it
    │   └── WrongState             right in itself, but not as things stand
    ├── StoreError        (1)
    │   ├── StoreTooNew   (2)      written by a newer Tonnage
    │   ├── StoreUnusable (2)      folder or file cannot be read or written
    │   ├── SequenceGap            a batch does not follow the high-water mark
    │   └── UnstorableEvent        an event that this version cannot read
    ├── Unreachable       (1)      collector or agent does not answer
    └── InstancesLeaked   (6)      something survived its removal

Causes are chained. Errors of libraries are translated once, at their border.
"""

from __future__ import annotations

from enum import IntEnum

from tonnage.model import Problem, ProblemKind


class ExitCode(IntEnum):
    """Exit codes of the ``tonnage`` command."""

    DONE = 0
    INTERNAL = 1
    INVALID = 2
    GATE_FAILED = 3
    INCONCLUSIVE = 4
    PARTIAL = 5
    LEAKED = 6
    CANCELLED = 130


class TonnageError(Exception):
    """Base of the collector's errors: one sentence, its field and value, the way out."""

    kind = ProblemKind.INTERNAL
    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, *, field: str = "", value: str = "", remedy: str = "") -> None:
        self.problem = Problem(self.kind, message, field, value, remedy)
        super().__init__(str(self.problem))


class InvalidInput(TonnageError):
    """Spec, flag or request is wrong; nothing was started."""

    kind = ProblemKind.INVALID_INPUT
    exit_code = ExitCode.INVALID


class NoSuchRun(InvalidInput):
    """No run has that id."""


class AmbiguousRun(InvalidInput):
    """Several runs' ids begin so."""


class NoSuchHost(InvalidInput):
    """No agent of that name has registered."""


class NoSuchInstance(InvalidInput):
    """No host holds that instance."""


class NoSuchToken(InvalidInput):
    """No token has that id."""


class Forbidden(InvalidInput):
    """The caller's role or name does not entitle to what was asked."""


class WrongState(InvalidInput):
    """What was asked is right in itself, but not possible as things stand."""


class ConfigError(InvalidInput):
    """A port, folder or setting is unusable."""


class StoreError(TonnageError):
    """The store failed."""


class StoreTooNew(StoreError):
    """The store was written by a newer Tonnage; this one would harm it."""

    kind = ProblemKind.INVALID_INPUT
    exit_code = ExitCode.INVALID


class StoreUnusable(StoreError):
    """The store's folder or file cannot be read or written."""

    kind = ProblemKind.INVALID_INPUT
    exit_code = ExitCode.INVALID


class SequenceGap(StoreError):
    """A batch does not follow the high-water mark; nothing of it was stored."""


class UnstorableEvent(StoreError):
    """An event that this version cannot read; nothing of its batch was stored."""


class Unreachable(TonnageError):
    """The collector or an agent does not answer."""

    kind = ProblemKind.UNAVAILABLE


class InstancesLeaked(TonnageError):
    """Something survived its removal; the message names it."""

    kind = ProblemKind.LEAKED
    exit_code = ExitCode.LEAKED
