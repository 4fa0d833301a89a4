"""Commands about runs: list, show, watch, cancel, resume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, Output, OutputOption, Run
from collector.endpoint import Endpoint

if TYPE_CHECKING:
    from collector.reports.model import Result
    from collector.views import Cancelled, Resumed, RunInfo


def runs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 50,
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the runs, latest first."""
    from collector.cli import interrupts, screen
    from collector.cli.overview import FEW
    from collector.suitability import few

    found = interrupts.run(_runs(collector, limit))
    if output is Output.JSON:
        screen.print_rows(found)
        return
    screen.print_table(
        ("RUN", "NAME", "STATE", "SUBMITTED", "TOOK", "TRIALS", "HOSTS"),
        [
            (
                run.run_id,
                run.name,
                f"{run.state}, {run.queue_position} before it" if run.queue_position else run.state,
                screen.moment(run.started_at_unix_ns),
                screen.span(run.started_at_unix_ns, run.finished_at_unix_ns),
                run.trials,
                few(run.hosts) if len(run.hosts) <= FEW else f"{len(run.hosts)} hosts",
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


def watch(
    run: Run, collector: Collector = DEFAULT_COLLECTOR, output: OutputOption = Output.TABLE
) -> None:
    """Show a run's progress until it ends. Ctrl-C leaves the run alone.

    The exit code is that of the run, or 130 when left before its end. As JSON, each
    change is one line with every host.
    """
    from collector.cli import interrupts

    raise typer.Exit(interrupts.run(_watch(collector, run, output)))


def cancel(run: Run, collector: Collector = DEFAULT_COLLECTOR) -> None:
    """Cancel a run on every host; what was measured is kept.

    A host that cannot be reached is told as soon as it is there again; the exit code is 5.
    """
    from collector.cli import interrupts, screen
    from collector.errors import ExitCode
    from collector.suitability import few

    cancelled = interrupts.run(_cancel(collector, run))
    if cancelled.reached:
        screen.say(f"cancelled on {few(cancelled.reached)}")
    elif not cancelled.unreached:
        screen.say(f"run {run} had ended already: there was nothing to cancel")
    if cancelled.unreached:
        screen.say(f"error: not reached: {', '.join(cancelled.unreached)}")
        screen.say("  They are told as soon as they answer again.")
        raise typer.Exit(ExitCode.PARTIAL)


def resume(
    run: Run,
    collector: Collector = DEFAULT_COLLECTOR,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show its progress until it ends.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take up again a run that ended without some of its hosts.

    They go on where they stopped: no trial that finished is repeated. A host that was
    lost and comes back does so by itself.
    """
    from dataclasses import asdict

    from collector.cli import interrupts, screen
    from collector.suitability import few

    resumed = interrupts.run(_resume(collector, run))
    screen.say(f"run {resumed.run_id} is taken up again on {few(resumed.hosts)}")
    if watch:
        raise typer.Exit(interrupts.run(_watch(collector, resumed.run_id, output)))
    if output is Output.JSON:
        screen.print_json(asdict(resumed))


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


async def _resume(collector: Endpoint, run: str) -> Resumed:
    from collector.client import Client

    async with Client(collector) as client:
        return await client.resume(run)


async def _watch(collector: Endpoint, run: str, output: Output) -> int:
    import asyncio

    from collector.cli import follow, interrupts, progress, screen
    from collector.client import Client

    display = progress.Documents() if output is Output.JSON else progress.display()
    try:
        async with Client(collector) as client:
            last = await follow.shown(client, run, display)
            result = await client.result(run)
    except asyncio.CancelledError as error:
        raise interrupts.Left(
            f"left; run {run} goes on", remedy=f"End it with tonnage cancel {run}."
        ) from error
    for line in follow.closing_lines(last, result):
        screen.say(line)
    return follow.outcome(last, result)
