"""Whether a run can be resumed, and what is said when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from collector.agents import Agent
from collector.errors import NoSuchRun, TonnageError, WrongState
from collector.model import HostRun, Run
from collector.suitability import few
from tonnage.model import RunState


def refuse_resuming(run: Run, *, live: bool) -> None:
    """Raise ``WrongState`` for a run that goes on, was cancelled, or has no trials any more."""
    if live or not run.state.ended:
        raise WrongState(
            "the run goes on: there is nothing to resume",
            field="run",
            value=run.run_id,
            remedy=f"See it with tonnage watch {run.run_id}.",
        )
    if run.cancel_requested or run.state is RunState.CANCELLED:
        raise WrongState(
            "the run was cancelled, and stays so",
            field="run",
            value=run.run_id,
            remedy="Run the experiment anew with tonnage run.",
        )
    if run.raw_removed_at_unix_ns is not None:
        raise WrongState(
            "the trials of the run were removed: what came now would have nothing beside it",
            field="run",
            value=run.run_id,
            remedy="Its figures are kept; run the experiment anew with tonnage run.",
        )


def nothing_left(run: Run, forgotten: Sequence[str] = ()) -> WrongState:
    """The error for a run of which no host can go on."""
    why = "every host of it reached its end"
    if forgotten:
        why = f"the agents of {few(forgotten)} no longer hold it"
    return WrongState(
        f"nothing of the run is left to do: {why}",
        field="run",
        value=run.run_id,
        remedy="What was measured is kept; run the experiment anew for more.",
    )


async def forgotten_by(
    run_id: str, hosts: Sequence[HostRun], agent: Callable[[HostRun], Agent]
) -> Sequence[str]:
    """The hosts that began the run and whose agents answer that they do not hold it."""

    async def ask(host: HostRun) -> bool:
        asked = agent(host)
        await asked.connected()
        with suppress(TonnageError):
            try:
                await asked.ack(run_id, host.high_water)
            except NoSuchRun:
                return True
        return False

    answers = await asyncio.gather(*map(ask, hosts))
    return [host.host for host, forgot in zip(hosts, answers, strict=True) if forgot]
