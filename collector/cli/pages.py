"""How help lists commands: under headings, by what a person is about to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

_UNCUT = 1000  # characters; what does not fit a line goes on in the next


class Headed(TyperGroup):
    """Lists its commands under their ``rich_help_panel``, in the order they were added."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the headings and, below each, its commands with a line of help."""
        headings: dict[str, list[Any]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            heading = getattr(command, "rich_help_panel", None) or "Commands"
            headings.setdefault(heading, []).append(command)
        widest = max(map(len, self.commands), default=0)
        for heading, commands in headings.items():
            with formatter.section(heading):
                formatter.write_dl(_rows(commands, widest))


def _rows(commands: Sequence[Any], widest: int) -> list[tuple[str, str]]:
    """Name and first sentence of each, uncut; names as wide as the widest of all headings."""
    return [(each.name.ljust(widest), each.get_short_help_str(_UNCUT)) for each in commands]
