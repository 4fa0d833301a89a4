"""One trial: from before its launch to its outcome, and the removal of its instance.

The timed window lies between the making of the ``Timeline`` and the ready mark.
Nothing else happens in it: journal, guards and bookkeeping come before, CPU
time, load and storing after.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import structlog

from agent.clock import Mark, Timeline
from agent.errors import InstanceLeaked, LaunchFailed, SpoolError, TonnageError
from agent.runner.attempts import Attempt, Order, Start
from agent.runner.holdings import Holding, Holdings
from agent.runner.observer import Observer
from agent.runner.reserve import Reserve
from agent.runtimes.base import Instance, LaunchSpec, Runtime, Scope
from agent.storage.journal import Entry, Journal
from tonnage.model import Outcome, Trial, TrialEnd

# An engine that does not remove an instance in this time will not do so later.
DESTROY_SECONDS = 60.0
_DESTROYS_IN_FLIGHT = 4
_MAX_EVIDENCE = 16_000
_MAX_ERROR = 1_000

_log = structlog.get_logger("agent.runner.trials")


class Trials:
    """Launches and removes instances, for runs and for people alike."""

    def __init__(
        self,
        agent_id: str,
        runtimes: Mapping[str, Runtime],
        journal: Journal,
        holdings: Holdings,
        observer: Observer,
    ) -> None:
        self._agent_id = agent_id
        self._runtimes = runtimes
        self._journal = journal
        self._holdings = holdings
        self._observer = observer
        self.reserve = Reserve(runtimes, holdings, observer.mem_available_bytes)
        self._destroying = asyncio.Semaphore(_DESTROYS_IN_FLIGHT)
        self._halts = 0

    @property
    def halted(self) -> bool:
        """Whether nothing may be launched at the moment, by anybody."""
        return self._halts > 0

    @contextmanager
    def halt(self) -> Iterator[None]:
        """Launch nothing within the block; starts in flight end as cancelled."""
        self._halts += 1
        try:
            for holding in self._holdings:
                holding.cancel()
            yield
        finally:
            self._halts -= 1

    async def attempt(self, order: Order) -> Attempt:
        """Launch one instance and wait for its outcome, within the order's deadline.

        Never raises for a launch that fails: that is an outcome. Whatever did
        not become ready has been destroyed before this returns. Raises
        ``SpoolError``, with nothing launched, when the journal cannot take it.
        """
        holding = self._begin(order)
        with self.reserve.during(holding):
            return await self._attempt(order, holding)

    async def _attempt(self, order: Order, holding: Holding) -> Attempt:
        try:
            await self._journal.opened(holding.entry)
        except SpoolError:
            self._holdings.drop(holding)
            raise
        if holding.cancelled or self.halted:
            return Attempt(order.trial(Outcome.CANCELLED), Start(Outcome.CANCELLED), holding)
        self._observer.joined(holding.id, holding.pids)
        before = self._observer.accounts()
        start = await self._start(order, holding)
        shares = self._observer.shares(before, self._observer.accounts())
        trial = self._row(order, holding, start, shares)
        if start.outcome is Outcome.READY:
            holding.state = "ready"
            return Attempt(trial, start, holding)
        cut = start.outcome is Outcome.INTERRUPTED
        return Attempt(trial, start, holding, await self.remove(holding, interrupted=cut))

    def _begin(self, order: Order) -> Holding:
        trial = order.trial(Outcome.INTERRUPTED, "the agent died while the trial was in flight")
        entry = Entry(
            instance_id=f"i{secrets.token_hex(8)}",
            runtime=order.target.runtime,
            run_id=order.run_id,
            image=order.target.workload.image,
            trial=trial,
        )
        holding = Holding(entry, order.target)
        self._holdings.add(holding)
        return holding

    async def _start(self, order: Order, holding: Holding) -> Start:
        runtime = self._runtimes[order.target.runtime]
        spec = LaunchSpec(
            holding.id,
            Scope(self._agent_id, order.run_id, order.trial_id),
            order.target,
            order.prepared,
            order.lifetime_seconds,
            order.parent,
        )
        holding.deadline = scope = asyncio.timeout(order.ready_timeout_seconds)
        holding.timeline = Timeline()
        try:
            async with scope:
                holding.instance = await runtime.launch(spec, holding.timeline)
                await holding.instance.ready()
            return Start(Outcome.READY, cpu_ns=holding.instance.cpu_ns())
        except TimeoutError as error:
            if not scope.expired():  # not our deadline: one of the runtime's own
                return Start(Outcome.FAILED, _line(error) or "timed out in the engine")
            return _overdue(order, holding)
        except LaunchFailed as error:
            return Start(Outcome.FAILED, _line(error), error.evidence, failure=error)
        except TonnageError as error:
            return Start(Outcome.FAILED, _line(error), _evidence(holding.instance), failure=error)
        except Exception as error:  # noqa: BLE001 (every attempt is a row, defects too)
            _log.exception("a runtime failed in an unforeseen way", runtime=runtime.name)
            text = f"defect of runtime {runtime.name}: {type(error).__name__}: {error}"
            return Start(Outcome.FAILED, text[:_MAX_ERROR], _evidence(holding.instance))
        finally:
            holding.deadline = None

    def _row(
        self,
        order: Order,
        holding: Holding,
        start: Start,
        shares: tuple[float | None, float | None],
    ) -> Trial:
        timeline = holding.timeline or Timeline()
        limit = order.noisy_above_share
        return replace(
            order.trial(start.outcome, start.error),
            requested_at_unix_ns=timeline.requested_at_unix_ns,
            evidence=start.evidence[-_MAX_EVIDENCE:],
            accepted_ns=timeline.get(Mark.ACCEPTED),
            created_ns=timeline.get(Mark.CREATED),
            kernel_ns=timeline.get(Mark.KERNEL),
            init_ns=timeline.get(Mark.INIT),
            unit_ns=timeline.get(Mark.UNIT),
            restored_ns=timeline.get(Mark.RESTORED),
            ready_ns=timeline.get(Mark.READY),
            cpu_ns=start.cpu_ns,
            foreign_cpu_share=shares[0],
            steal_share=shares[1],
            noisy=any(share is not None and share > limit for share in shares),
            suspect=not timeline.in_order(),
            cpu_some_avg10=self._observer.pressure().get("cpu"),
        )

    async def remove(self, holding: Holding, *, interrupted: bool = False) -> TrialEnd:
        """Destroy the instance and verify it; the end says what went wrong, if anything.
        ``interrupted``: only because the agent stops.

        What survived stays among the holdings as ``orphaned``.
        """
        holding.state = "stopping"
        error = ""
        async with self._destroying:
            try:
                await self._destroy(holding)
            except InstanceLeaked as leak:
                holding.state, error = "orphaned", _line(leak)
            except TimeoutError:
                holding.state = "orphaned"
                error = f"was not removed within {DESTROY_SECONDS:g} s"
            except Exception as failure:  # noqa: BLE001 (the end says what went wrong)
                holding.state = "orphaned"
                error = f"could not be removed: {type(failure).__name__}: {_line(failure)}"
        if error:
            _log.error("an instance was not removed", instance=holding.id, reason=error)
        else:
            self._holdings.drop(holding)
        return _end(holding, error, interrupted=interrupted)

    async def _destroy(self, holding: Holding) -> None:
        instance = holding.instance
        async with asyncio.timeout(DESTROY_SECONDS):
            if instance is None:  # its launch failed, and the clean-up after it may have, too
                instance = await self._runtimes[holding.entry.runtime].recover(holding.id)
            if instance is not None:
                self._observer.leaving(holding.id)
                await instance.destroy()
        self._observer.left(holding.id)

    def settled(self, holding: Holding) -> None:
        """Close the journal's entry: the instance is gone and its rows are on disk."""
        if holding.state != "orphaned":
            self._holdings.drop(holding)
            self._journal.closed(holding.id)


_CUT = {
    Outcome.CANCELLED: "cancelled before it was ready",
    Outcome.INTERRUPTED: "the agent was stopped before it was ready",
}


def _overdue(order: Order, holding: Holding) -> Start:
    if holding.instance is not None and holding.timeline and holding.timeline.get(Mark.READY):
        return Start(Outcome.READY, cpu_ns=holding.instance.cpu_ns())  # it came at the last moment
    evidence = _evidence(holding.instance)
    if holding.cancelled:
        outcome = holding.outcome_when_cancelled
        return Start(outcome, _CUT[outcome], evidence)
    limit = f"{order.ready_timeout_seconds:g} s"
    return Start(Outcome.TIMED_OUT, f"not ready within {limit}", evidence)


def _evidence(instance: Instance | None) -> str:
    return instance.evidence() if instance is not None else ""


def _end(holding: Holding, error: str, *, interrupted: bool) -> TrialEnd:
    timeline, trial = holding.timeline, holding.entry.trial
    return TrialEnd(
        trial_id=trial.trial_id,
        attempt=trial.attempt,
        stopped_ns=timeline.get(Mark.STOPPED) if timeline else None,
        destroyed_ns=timeline.get(Mark.DESTROYED) if timeline else None,
        error=error,
        interrupted=interrupted,
    )


def _line(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:_MAX_ERROR]
