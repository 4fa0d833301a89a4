"""What the collector asks of a store, written as guarantees: a protocol a subject.

One conformance suite (``tests/contracts/test_store.py``) runs over every
implementation. Every method raises only ``collector.errors.StoreError``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from collector.model import (
    AuditEntry,
    AuditFilter,
    Certificate,
    HostFact,
    HostRun,
    KeptResult,
    KnownHost,
    Run,
    RunData,
    Token,
    TrialRow,
)
from tonnage.model import Problem, RunState
from tonnage.v1 import model_pb2

EVERYTHING = AuditFilter()


class RunStore(Protocol):
    """Keeps runs, hosts' progress, and every raw event. Safe for concurrent calls."""

    async def create_run(self, run: Run, hosts: Sequence[HostRun]) -> Run:
        """Store a new run with its hosts, whole or not at all.

        When ``run.request_token`` is set and known, nothing is stored and the
        earlier run is returned.
        """

    async def set_run_state(
        self,
        run_id: str,
        state: RunState,
        *,
        finished_at_unix_ns: int | None,
        problem: Problem | None,
    ) -> None:
        """Move a run to ``state``. A run that has ended is moved by ``reopen_run`` alone."""

    async def set_host_state(
        self, run_id: str, host: str, state: RunState, problem: Problem | None
    ) -> None:
        """Move one host of a run, for ends that no event tells (a lost host)."""

    async def request_cancel(self, run_id: str) -> None:
        """Keep the wish that a run be cancelled. Nothing is moved by it."""

    async def reopen_run(self, run_id: str) -> Sequence[str]:
        """Make a run that ended ``partial`` or ``failed`` ``running`` again, for the hosts
        that did not reach their own end: those without a stored ``run_finished``.

        Returns their names; when there is none, or the run ended otherwise, or its
        trials were removed, nothing is moved and the answer is empty. Run and hosts
        move in one transaction. The start skew is dropped when one of them had not
        begun to launch.
        """

    async def reopen_host(self, run_id: str, host: str) -> bool:
        """Make one host of a run that goes on ``running`` again after it was given up.

        False, and nothing moved, when the run has ended or a ``run_finished`` of the
        host is stored.
        """

    async def set_start_skew(self, run_id: str, seconds: float) -> None:
        """Keep the upper bound on how far apart the run's hosts began to launch."""

    async def append(self, run_id: str, host: str, events: Sequence[model_pb2.Event]) -> int:
        """Store a batch and return the new high-water mark, after commit.

        Rows and mark move in one transaction. Events at or below the mark are
        passed over, so a batch may be sent twice, or overlap; a gap above it
        raises ``SequenceGap`` and stores nothing. Messages are taken as they
        came off the wire: this is the hot path.
        """

    async def own(self, run_id: str) -> bool:
        """Make this collector the one that drives a run that is stored; false when another is.

        Of the collectors that share a store one owns a run at a time. It is owned until
        ``disown`` or ``close``, until the collector ends, however it does, or until the
        store cannot be sure of it any more: then ``disowned`` returns. Idempotent.
        """

    async def disown(self, run_id: str) -> None:
        """Let a run go, for another or for later. Idempotent."""

    async def disowned(self, run_id: str) -> None:
        """Return once this collector does not own the run: at once if it does not now."""

    async def owner(self, run_id: str) -> str | None:
        """Which collector drives the run, or was the last to; ``None`` if none ever did."""

    async def find_run(self, prefix: str) -> Run:
        """The run whose id is, or uniquely begins with, ``prefix``.

        Raises ``NoSuchRun`` or ``AmbiguousRun``, which name the candidates.
        """

    async def run_by_token(self, token: str) -> Run | None:
        """The run that was created with this ``request_token``, if one was."""

    async def host_runs(self, run_id: str, host: str | None = None) -> Sequence[HostRun]:
        """A run's hosts, by name; or the one that is asked for, if it is one of them."""

    async def list_runs(self, limit: int) -> Sequence[tuple[Run, Sequence[str], int]]:
        """The latest runs with their hosts' names and counts of trials, latest first."""

    async def unfinished_runs(self) -> Sequence[Run]:
        """Runs that have not ended, oldest first: to go on with after a restart."""

    def trials(self, run_id: str, batch: int = 1000) -> AsyncGenerator[Sequence[TrialRow], None]:
        """Every trial of a run in the order stored, in batches: never all in memory."""

    async def facts(self, run_id: str) -> Sequence[HostFact]:
        """Every row of a run other than a trial, by host, in the order stored."""

    async def load(self, run_id: str) -> RunData:
        """Everything stored of one run."""


class ResultStore(Protocol):
    """Keeps what was computed of runs that ended, and lets go of raw rows."""

    async def keep_result(self, result: KeptResult) -> bool:
        """Store a run's result in place of an earlier one.

        False, and nothing stored, when the run has not ended at
        ``result.finished_at_unix_ns`` (it goes on, or ended anew), other than
        ``result.events`` are stored of its hosts, or its trials were removed.
        """

    async def kept_result(self, run_id: str) -> KeptResult | None:
        """The result of the run's present ending, if it was kept and no event came since;
        of a run whose trials were removed, whatever came."""

    async def without_result(self, limit: int) -> Sequence[str]:
        """Runs that ended and have no ``kept_result``, latest first."""

    async def remove_raw(self, run_id: str, now_unix_ns: int) -> int:
        """Remove a run's trials and their ends; how many trials there were.

        Its other rows and its result stay. Nothing is removed, and the answer is 0,
        unless the run has ended and has its ``kept_result``. From the first moment nobody
        reads its trials any more; they go in batches, between which others write. One that
        was interrupted is gone on with by the next call; when nothing is left, nothing is done.
        """

    async def runs_with_raw(self, finished_before_unix_ns: int) -> Sequence[str]:
        """Runs that ended before then and have their trials still, oldest first."""

    async def half_removed(self) -> Sequence[str]:
        """Runs whose trials were removed, and of which some are there nevertheless: the
        removal was interrupted, or a host told more later."""

    async def size_bytes(self) -> int:
        """What the store takes on disk."""


class HostStore(Protocol):
    """Keeps the inventory over restarts."""

    async def put_hosts(self, hosts: Sequence[KnownHost]) -> None:
        """Store hosts, all or none, in place of what was known of their names. ``draining``
        and ``first_seen_unix_ns`` of a host that is known stay as they are."""

    async def saw_hosts(self, last_seen_unix_ns: Mapping[str, int]) -> None:
        """Keep when hosts were last seen; a host that is not known is passed over."""

    async def set_draining(self, host: str, draining: bool) -> None:
        """Take a host out of new runs, or back in; nothing happens to an unknown one."""

    async def forget_host(self, host: str) -> None:
        """Drop a host from the inventory; its runs stay. Idempotent."""

    async def known_hosts(self) -> Sequence[KnownHost]:
        """Every host, by name."""


class IdentityStore(Protocol):
    """Keeps tokens, of which it never sees the secret, and issued certificates."""

    async def add_token(self, token: Token) -> None:
        """Store a new token."""

    async def use_token(self, secret_sha256: str, host: str, now_unix_ns: int) -> Token | None:
        """Take one use of the token and return it as it is then; ``None``, and nothing
        taken, unless there is such a token, not revoked, not past its end, with a use
        left, for any host or this one. Of concurrent callers no more succeed than
        there are uses."""

    async def revoke_token(self, token_id: str) -> bool:
        """End a token; whether there was one of this id. Idempotent."""

    async def tokens(self) -> Sequence[Token]:
        """Every token, newest first."""

    async def add_certificate(self, certificate: Certificate) -> None:
        """Store a certificate that was issued; one that is known already is left as it is."""

    async def revoke_certificates(
        self, now_unix_ns: int, *, serial: str = "", role: str = "", name: str = ""
    ) -> Sequence[str]:
        """Revoke one certificate by serial, or all of a role and name, for good.

        Returns the serials that were not revoked before and are now.
        """

    async def certificates(self) -> Sequence[Certificate]:
        """Every certificate, newest first."""

    async def revoked_serials(self, now_unix_ns: int) -> Sequence[str]:
        """The certificates that were revoked and have not ended by now, in order."""


class AuditStore(Protocol):
    """Keeps the audit log. Rows are only ever added."""

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Store entries, all or none."""

    async def audit(self, limit: int, only: AuditFilter = EVERYTHING) -> Sequence[AuditEntry]:
        """The latest entries of those, newest first; a command is found in any case."""


class Store(RunStore, ResultStore, HostStore, IdentityStore, AuditStore, Protocol):
    """Everything that the collector keeps. Safe for concurrent calls."""

    async def close(self) -> None:
        """Flush and let go. Idempotent."""
