"""The command that removes runs' trials and keeps their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, Output, OutputOption
from collector.endpoint import Endpoint

if TYPE_CHECKING:
    from collector.views import Pruned


def prune(
    run: Annotated[
        list[str] | None,
        typer.Argument(help="Runs' ids, or unique beginnings of them.", show_default=False),
    ] = None,
    older_than: Annotated[
        str, typer.Option(help="Every run that ended longer ago than this: 90d, 12h.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """Remove the trials of runs that ended; their results are kept.

    What was computed stays, with every step, point and notice: tonnage show and
    tonnage report go on to work and say that the trials are gone. A run that goes on is
    refused. The collector does this by itself with retention_days.

    \b
    Exit codes: 0 all removed, 2 refused, 5 some of several were refused.

    \b
    For example:
      tonnage prune 20261124-1dts2sy
      tonnage prune --older-than 90d --yes
    """
    from dataclasses import asdict

    from collector.cli import interrupts, screen
    from collector.cli.asking import make_sure
    from collector.errors import ExitCode

    runs = _meant(run or (), older_than, collector)
    if runs:
        of = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
        make_sure("removes trials for good", f"Remove every trial of {of} for good?", yes)
    pruned = interrupts.run(_prune(collector, runs))
    if output is Output.JSON:
        screen.print_json([asdict(each) for each in pruned])
    else:
        screen.print_table(
            ("RUN", "TRIALS REMOVED", "GONE SINCE"),
            [(each.run_id, each.trials, screen.moment(each.removed_at_unix_ns)) for each in pruned],
            "no run that old has its trials still",
        )
    if len(pruned) < len(runs):
        raise typer.Exit(ExitCode.PARTIAL)


def _meant(runs: Sequence[str], older_than: str, collector: Endpoint) -> Sequence[str]:
    from collector.cli.asking import ask
    from collector.cli.reading import read
    from collector.errors import InvalidInput
    from collector.spec.units import RunAge

    if bool(runs) == bool(older_than):
        raise InvalidInput(
            "name runs, or an age, and not both",
            field="--older-than",
            value=older_than,
            remedy="tonnage prune RUN…, or tonnage prune --older-than 90d.",
        )
    if runs:
        return runs
    seconds = read(RunAge, "--older-than", older_than)
    return ask(collector, lambda client: client.prunable(seconds))


async def _prune(collector: Endpoint, runs: Sequence[str]) -> Sequence[Pruned]:
    """Those of several that were refused are told of, and do not keep the others."""
    from collector.cli import screen
    from collector.client import Client
    from collector.errors import InvalidInput

    pruned = []
    async with Client(collector) as client:
        for run in runs:
            try:
                pruned.append(await client.prune(run))
            except InvalidInput as error:
                if len(runs) == 1:
                    raise
                screen.say(f"error: {error}")
    return pruned
