"""What the conductor asks of a store, written as guarantees.

One conformance suite (``tests/contracts/test_store.py``) runs over every
implementation. Every method raises only ``collector.errors.StoreError``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from collector.model import HostFact, HostRun, Run, RunData, TrialRow
from tonnage.model import Problem, RunState
from tonnage.v1 import model_pb2


class Store(Protocol):
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
        """Move a run to ``state``. A run that has ended is never moved again."""

    async def set_host_state(
        self, run_id: str, host: str, state: RunState, problem: Problem | None
    ) -> None:
        """Move one host of a run, for ends that no event tells (a lost host)."""

    async def request_cancel(self, run_id: str) -> None:
        """Keep the wish that a run be cancelled. Nothing is moved by it."""

    async def append(self, run_id: str, host: str, events: Sequence[model_pb2.Event]) -> int:
        """Store a batch and return the new high-water mark, after commit.

        Rows and mark move in one transaction. Events at or below the mark are
        passed over, so a batch may be sent twice, or overlap; a gap above it
        raises ``SequenceGap`` and stores nothing. Messages are taken as they
        came off the wire: this is the hot path.
        """

    async def find_run(self, prefix: str) -> Run:
        """The run whose id is, or uniquely begins with, ``prefix``.

        Raises ``NoSuchRun`` or ``AmbiguousRun``, which name the candidates.
        """

    async def run_by_token(self, token: str) -> Run | None:
        """The run that was created with this ``request_token``, if one was."""

    async def host_runs(self, run_id: str) -> Sequence[HostRun]:
        """A run's hosts, by name."""

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

    async def close(self) -> None:
        """Flush and let go. Idempotent."""
