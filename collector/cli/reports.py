"""Commands that make files of a run: the report, and every trial."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, File, Run

if TYPE_CHECKING:
    from collector.reports.model import Result


class ExportFormat(StrEnum):
    """How trials are written."""

    CSV = "csv"
    JSON = "json"


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
    screen.write_text(out, render(result, trials))
    screen.say(f"wrote {out}")


def export(
    run: Run,
    fmt: Annotated[ExportFormat, typer.Option("--format", help="csv or json.")] = ExportFormat.CSV,
    out: File = None,
    collector: Collector = DEFAULT_COLLECTOR,
) -> None:
    """Write every trial of a run."""
    from collector.cli import interrupts, screen

    text = as_text(interrupts.run(_trials(collector, run)), fmt)
    if out is None:
        sys.stdout.write(text)
    else:
        screen.write_text(out, text)
        screen.say(f"wrote {out}")


def as_text(trials: list[dict[str, Any]], fmt: ExportFormat) -> str:
    """Return trials as CSV or as a JSON list."""
    import io

    from collector.reports.export import write_csv, write_json

    text = io.StringIO()
    (write_csv if fmt is ExportFormat.CSV else write_json)(trials, text)
    return text.getvalue()


async def _trials(collector: str, run: str) -> list[dict[str, Any]]:
    from collector.cli import results
    from collector.client import Client

    async with Client(collector) as client:
        return await results.trial_rows(client, run)


async def _everything(collector: str, run: str) -> tuple[Result, list[dict[str, Any]]]:
    from collector.cli import results
    from collector.client import Client

    async with Client(collector) as client:
        return await client.result(run), await results.trial_rows(client, run)
