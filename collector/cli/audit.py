"""The command that shows the audit log."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, Output, OutputOption


def audit(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")] = 100,
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """List every command and every refusal, newest first: when, who, from where, how it ended.

    Who is not let in by TLS itself, for want of a certificate or with a wrong one, is
    not in it: no command was heard.
    """
    from collector.cli import screen
    from collector.cli.asking import ask

    found = ask(collector, lambda client: client.audit(limit))
    if output is Output.JSON:
        screen.print_rows(found)
        return
    screen.print_table(
        ("WHEN", "ROLE", "NAME", "FROM", "COMMAND", "SUBJECT", "OUTCOME", "WHY"),
        [
            (
                screen.moment(entry.at_unix_ns),
                entry.role,
                entry.name or "-",
                entry.peer,
                entry.command,
                entry.subject or "-",
                entry.outcome,
                entry.reason,
            )
            for entry in found
        ],
        "the audit log is empty",
    )
