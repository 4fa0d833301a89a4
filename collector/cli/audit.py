"""The command that shows the audit log."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, Output, OutputOption


def audit(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")] = 100,
    by: Annotated[str, typer.Option(help="Only what this person or host asked for.")] = "",
    command: Annotated[str, typer.Option(help="Only this call, such as StopAll.")] = "",
    about: Annotated[str, typer.Option(help="Only what was about this run, host, token.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="Only what did not end well.")] = False,
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """List every command and every refusal, newest first: when, who, from where, how it ended.

    Who is not let in by TLS itself, for want of a certificate or with a wrong one, is
    not in it: no command was heard.

    \b
    For example:
      tonnage audit --failed --limit 20
      tonnage audit --by jane --command StopAll
    """
    from collector.cli import screen
    from collector.cli.asking import ask
    from collector.model import AuditFilter

    only = AuditFilter(by, command, about, failed)
    found = ask(collector, lambda client: client.audit(limit, only))
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
        "the audit log is empty" if only == AuditFilter() else "the audit log has none such",
    )
