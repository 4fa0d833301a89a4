"""Commands about runs: list, show, watch, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, Output, OutputOption, Run
from collector.endpoint import Endpoint

if TYPE_CHECKING:
    from collector.reports.model import Result
    from collector.views import Cancelled, RunInfo


def runs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 50,
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the runs, latest first."""
    from collector.cli import interrupts, screen

    found = interrupts.run(_runs(collector, limit))
    if output is Output.JSON:
        screen.print_rows(found)
        return
    screen.print_table(
        ("RUN", "NAME", "STATE", "STARTED", "TOOK", "TRIALS", "HOSTS"),
        [
            (
                run.run_id,
                run.name,
                run.state,
                screen.moment(run.started_at_unix_ns),
                screen.span(run.started_at_unix_ns, run.finished_at_unix_ns),
                run.trials,
                ", ".join(run.hosts),
            )
            for run in found
        ],
        "no runs yet; start one with tonnage run",
    )


def show(
    run: Run, collector: Collector = DEFAULT_COLLECTOR, output: OutputOption = Output.TABLE
) -> None:
    """Print a run's result, as far as it has come."""
    from collector.cli import interrupts, results

    results.print_result(interrupts.run(_result(collector, run)), output)


def watch(run: Run, collector: Collector = DEFAULT_COLLECTOR) -> None:
    """Show a run's progress until it ends. Ctrl-C leaves the run alone.

    The exit code is that of the run, or 130 when left before its end.
    """
    from collector.cli import interrupts

    raise typer.Exit(interrupts.run(_watch(collector, run)))


def cancel(run: Run, collector: Collector = DEFAULT_COLLECTOR) -> None:
    """Cancel a run on every host; what was measured is kept."""
    from collector.cli import interrupts, screen
    from collector.errors import ExitCode

    cancelled = interrupts.run(_cancel(collector, run))
    if cancelled.reached:
        screen.say(f"cancelled on {', '.join(cancelled.reached)}")
    elif not cancelled.unreached:
        screen.say(f"run {run} had ended already: there was nothing to cancel")
    if cancelled.unreached:
        screen.say(f"error: not reached: {', '.join(cancelled.unreached)}")
        raise typer.Exit(ExitCode.PARTIAL)


async def _runs(collector: Endpoint, limit: int) -> Sequence[RunInfo]:
    from collector.client import Client

    async with Client(collector) as client:
        return await client.runs(limit)


async def _result(collector: Endpoint, run: str) -> Result:
    from collector.client import Client

    async with Client(collector) as client:
        return await client.result(run)


async def _cancel(collector: Endpoint, run: str) -> Cancelled:
    from collector.client import Client

    async with Client(collector) as client:
        return await client.cancel(run)


async def _watch(collector: Endpoint, run: str) -> int:
    import asyncio

    from collector.cli import follow, interrupts, progress, screen
    from collector.client import Client

    try:
        async with Client(collector) as client:
            last = await follow.shown(client, run, progress.display())
            result = await client.result(run)
    except asyncio.CancelledError as error:
        raise interrupts.Left(
            f"left; run {run} goes on", remedy=f"End it with tonnage cancel {run}."
        ) from error
    for line in follow.closing_lines(last, result):
        screen.say(line)
    return follow.outcome(last, result)
