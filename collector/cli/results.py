"""A result on standard output, and the files made of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from collector.cli import screen
from collector.cli.options import Output
from collector.reports.model import Result

if TYPE_CHECKING:
    from collector.client import Client


def print_result(result: Result, output: Output) -> None:
    """Print tables for people, or the JSON document."""
    if output is Output.JSON:
        sys.stdout.write(result.model_dump_json(indent=2) + "\n")
        return
    from collector.reports.table import render

    rendered = render(result)
    console = screen.console()
    for part in rendered if isinstance(rendered, list | tuple) else [rendered]:
        console.print(part)


async def trial_rows(client: Client, run_id: str) -> list[dict[str, Any]]:
    """Return every trial of a run as the export's rows."""
    from collector.reports.export import rows

    return [rows(trial) async for batch in client.trials(run_id) for trial in batch]
