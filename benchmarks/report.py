"""Rows as a table for people, and as ``result.json`` for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.rows import Row

_WIDTH = 150


def tell(rows: Sequence[Row], title: str, folder: Path) -> None:
    """Print the rows under ``title`` and write them to ``folder``/result.json."""
    folder.mkdir(parents=True, exist_ok=True)
    document = [{**asdict(row), "ok": row.ok} for row in rows]
    (folder / "result.json").write_text(json.dumps(document, indent=2) + "\n")
    console = Console()
    console.width = max(console.width, _WIDTH)  # piped, a table need not be narrow
    console.print(_table(rows, title))


def _table(rows: Sequence[Row], title: str) -> Table:
    table = Table(title=title)
    for heading in ("what", "value", "95 % interval", "target", "n", "ok", "note"):
        table.add_column(heading, justify="left" if heading in ("what", "note") else "right")
    for row in rows:
        bound = "≤" if row.direction == "max" else "≥"
        table.add_row(
            row.name,
            f"{row.value:.3g} {row.unit}",
            f"{row.ci[0]:.3g} to {row.ci[1]:.3g}",
            f"{bound} {row.target:g}",
            str(row.n),
            "yes" if row.ok else "NO",
            escape(row.note),
        )
    return table
