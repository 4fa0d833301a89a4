"""The end of raw rows: trials of runs that ended go by age, or when an operator says so.

What was computed of them is kept first, and every other row stays.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from collector.errors import StoreError, TonnageError, WrongState
from collector.model import AUDIT_OK
from collector.server.access import Caller
from collector.server.audit import AuditLog, entry
from collector.server.outcomes import Outcomes
from collector.stores.base import Store
from collector.views import Pruned

_log = structlog.get_logger(__name__)

_EVERY_SECONDS = 3600.0
_DAY_NS = 86_400 * 10**9
_US = Caller(role="collector", name="retention", peer="")


class Retention:
    """Removes trials. ``run`` it for those that are older than ``days``; 0 keeps all."""

    def __init__(self, store: Store, outcomes: Outcomes, audit: AuditLog, days: float) -> None:
        self._store = store
        self._outcomes = outcomes
        self._audit = audit
        self._days = days

    async def prune(self, run_id: str) -> Pruned:
        """Remove the trials of the run whose id is, or uniquely begins with, ``run_id``.

        Raises ``WrongState`` for a run that goes on. Idempotent.
        """
        run = await self._store.find_run(run_id)
        if not run.state.ended:
            raise WrongState(
                "the run goes on: its trials are not removed",
                field="run",
                value=run.run_id,
                remedy=f"Wait for its end, or end it with tonnage cancel {run.run_id}.",
            )
        if run.raw_removed_at_unix_ns is None:
            await self._outcomes.result(run.run_id)  # which keeps it
        trials = await self._store.remove_raw(run.run_id, time.time_ns())
        removed_at = (await self._store.find_run(run.run_id)).raw_removed_at_unix_ns
        if removed_at is None:
            raise StoreError(
                "the run told more, or was taken up again, while its trials were to be removed",
                field="run",
                value=run.run_id,
                remedy="Nothing was removed; ask again once it has ended.",
            )
        return Pruned(run.run_id, trials, removed_at)

    async def sweep(self) -> None:
        """End removals that were cut off, and remove what is too old. Raises ``StoreError``."""
        for run_id in await self._store.half_removed():
            await self._store.remove_raw(run_id, time.time_ns())
        if not self._days:
            return
        before = time.time_ns() - int(self._days * _DAY_NS)
        for run_id in await self._store.runs_with_raw(before):
            await self._prune_old(run_id)

    async def run(self) -> None:
        """Sweep at once, then every hour, until cancelled."""
        while True:
            try:
                await self.sweep()
            except TonnageError as error:
                _log.warning("old trials are not removed yet", why=str(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def _prune_old(self, run_id: str) -> None:
        began = time.time_ns()
        try:
            pruned = await self.prune(run_id)
        except TonnageError as error:
            _log.warning("trials are not removed yet", run=run_id, why=str(error))
        except Exception:  # noqa: BLE001 - a result that cannot be computed keeps its own trials alone
            _log.exception("a defect keeps trials from being removed", run=run_id)
        else:
            _log.info("trials removed", run=run_id, trials=pruned.trials, days=self._days)
            why = f"{pruned.trials} trials, older than {self._days:g} days"
            self._audit.add(entry(began, _US, "PruneRun", run_id, AUDIT_OK, why))
