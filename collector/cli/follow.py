"""Seeing a run through: progress, Ctrl-C, and what its end means for the exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from collector.cli.interrupts import Interrupts, Left
from collector.cli.progress import Display
from collector.errors import ExitCode, TonnageError
from collector.reports.model import Result
from collector.suitability import few
from collector.views import Progress
from tonnage.model import ProblemKind, RunState

if TYPE_CHECKING:
    from collector.client import Client


_SHOWN_AGAIN_SECONDS = 1.0
_ENDS = {
    RunState.PARTIAL: "ended partial: some of it was not measured",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "was cancelled; what was measured until then is kept",
}


async def follow(client: Client, run_id: str, screen: Display, interrupts: Interrupts) -> Progress:
    """Show a run until it ends, and return its last progress.

    The first interruption cancels the run on its hosts and waits for their
    clean-up; the second raises ``Left``.
    """
    canceller = asyncio.create_task(_cancel_when_asked(client, run_id, screen, interrupts))
    try:
        with interrupts.patient():
            return await shown(client, run_id, screen)
    except asyncio.CancelledError as error:
        raise Left(
            f"left while run {run_id} was being cancelled: its hosts go on cleaning up",
            remedy=f"See how it ends with tonnage show {run_id}.",
        ) from error
    finally:
        canceller.cancel()
        await asyncio.gather(canceller, return_exceptions=True)


async def shown(client: Client, run_id: str, screen: Display) -> Progress:
    """Show a run until it ends, and also every second that brings nothing new."""
    last: Progress | None = None

    async def again() -> None:
        while True:
            await asyncio.sleep(_SHOWN_AGAIN_SECONDS)
            if last is not None:
                screen.show(last)

    with screen:
        repeating = asyncio.create_task(again())
        try:
            async for last in client.watch(run_id):
                screen.show(last)
        finally:
            repeating.cancel()
    if last is None:
        raise TonnageError(f"the collector told nothing about run {run_id}")
    return last


async def _cancel_when_asked(
    client: Client, run_id: str, screen: Display, interrupts: Interrupts
) -> None:
    await interrupts.asked.wait()
    screen.note("cancelling, and waiting for the clean-up; Ctrl-C again leaves at once")
    try:
        cancelled = await client.cancel(run_id)
    except TonnageError as error:
        screen.note(f"the run could not be cancelled: {error}")
        return
    if cancelled.unreached:
        screen.note(f"not reached, and told when they answer: {', '.join(cancelled.unreached)}")


def outcome(progress: Progress, result: Result) -> ExitCode:
    """Return the exit code that a run's end calls for."""
    if any(host.leaked for host in result.hosts):
        return ExitCode.LEAKED
    if progress.state is RunState.CANCELLED:
        return ExitCode.CANCELLED
    if progress.state is RunState.FAILED and _invalid(progress):
        return ExitCode.INVALID
    if progress.state is not RunState.FINISHED or _nothing_ready(result):
        return ExitCode.PARTIAL
    return ExitCode.DONE


def closing_lines(progress: Progress, result: Result) -> Sequence[str]:
    """Return what a person must know of a run that did not end well."""
    lines = []
    if progress.state is not RunState.FINISHED:
        lines.append(f"run {progress.run_id} {_ENDS.get(progress.state, f'is {progress.state}')}")
    if progress.problem is not None and progress.state is not RunState.CANCELLED:
        lines.append(f"error: {progress.problem}")
    if _nothing_ready(result) and progress.state is not RunState.CANCELLED:
        lines.append("error: not one instance became ready; tonnage export shows why, per trial")
    lines += [
        f"error: host {host.host}: instances survived their removal: {few(host.leaked)}; "
        "remove them with tonnage clean"
        for host in result.hosts
        if host.leaked
    ]
    return lines


def _invalid(progress: Progress) -> bool:
    return progress.problem is not None and progress.problem.kind is ProblemKind.INVALID_INPUT


def _nothing_ready(result: Result) -> bool:
    totals = [row for row in result.startup if row.phase == "total"]
    return any(row.requested for row in totals) and not any(row.ready for row in totals)
