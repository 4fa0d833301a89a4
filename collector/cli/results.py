"""A result on standard output, and the files made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from collector.cli import screen
from collector.cli.options import Output, TrialFormat
from collector.reports.model import Result

if TYPE_CHECKING:
    from collector.client import Client


def print_result(result: Result, output: Output) -> None:
    """Print tables for people, or the JSON document."""
    if output is Output.JSON:
        screen.put(result.model_dump_json(indent=2) + "\n")
        return
    from collector.reports.table import render

    screen.put_styled(render(result, screen.width()))


async def trial_rows(client: Client, run_id: str) -> list[dict[str, Any]]:
    """Return every trial of a run as the export's rows."""
    from collector.reports.export import rows

    return [rows(trial) async for batch in client.trials(run_id) for trial in batch]


async def write_trials(client: Client, run_id: str, fmt: TrialFormat, out: TextIO) -> None:
    """Write every trial of a run; CSV goes batch by batch, however many there are.

    Raises ``WrongState`` when the run's trials were removed.
    """
    from collector.reports.export import rows, write_csv, write_json

    if fmt is TrialFormat.JSON:
        everything = await trial_rows(client, run_id)
        if not everything:
            await _refuse_removed(client, run_id)
        write_json(everything, out)
        return
    header = True
    async for batch in client.trials(run_id):
        write_csv([rows(trial) for trial in batch], out, header=header)
        header = False
    if header:
        await _refuse_removed(client, run_id)
        write_csv((), out)


async def _refuse_removed(client: Client, run_id: str) -> None:
    """No trial to write is a finding only where none was taken away."""
    from collector.errors import WrongState

    run = (await client.result(run_id)).run
    if run.trials_removed_at is not None:
        raise WrongState(
            f"the trials of this run were removed on {run.trials_removed_at:%Y-%m-%d %H:%M} UTC",
            field="run",
            value=run.id,
            remedy=f"Its figures are kept: tonnage show {run.id} --output json, tonnage report.",
        )
