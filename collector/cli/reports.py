"""Commands that make files of a run: the report, and every trial."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, File, Run, TrialFormat
from collector.endpoint import Endpoint

if TYPE_CHECKING:
    from collector.reports.model import Result


def report(
    run: Run,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path(
        "report.html"
    ),
    collector: Collector = DEFAULT_COLLECTOR,
) -> None:
    """Write a run's report as one self-contained HTML file."""
    from collector.cli import interrupts, screen
    from collector.reports.html import render

    result, trials = interrupts.run(_everything(collector, run))
    with screen.writing(out) as page:
        page.write(render(result, trials))
    screen.say(f"wrote {out}")


def export(
    run: Run,
    fmt: Annotated[
        TrialFormat, typer.Option("--format", envvar="TONNAGE_EXPORT_FORMAT", help="csv or json.")
    ] = TrialFormat.CSV,
    out: File = None,
    collector: Collector = DEFAULT_COLLECTOR,
) -> None:
    """Write every trial of a run, those that failed included.

    \b
    For example:
      tonnage export 20261124-1dts2sy --format csv > trials.csv
    """
    from collector.cli import interrupts, screen

    interrupts.run(_export(collector, run, fmt, out))
    if out is not None:
        screen.say(f"wrote {out}")


async def _export(collector: Endpoint, run: str, fmt: TrialFormat, out: Path | None) -> None:
    from collector.cli import results, screen
    from collector.client import Client

    async with Client(collector) as client:
        with screen.writing(out) as stream:
            await results.write_trials(client, run, fmt, stream)


async def _everything(collector: Endpoint, run: str) -> tuple[Result, list[dict[str, Any]]]:
    from collector.cli import results
    from collector.client import Client

    async with Client(collector) as client:
        return await client.result(run), await results.trial_rows(client, run)
