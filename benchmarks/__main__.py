"""Run the benchmarks, print their table, and write ``build/bench/result.json``.

``python -m benchmarks [NAME ...] [--out FOLDER]``; without names, all of them.
Exits 3 when a row misses its target.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.rows import Row

_WIDTH = 150
MODULES = ("cli", "ingest", "docker_start", "launch_rate", "idle_agent", "qemu_start")


def main() -> int:
    """Run, print, write; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(MODULES)}")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(MODULES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    for name in arguments.names or MODULES:
        began = time.monotonic()
        rows += asyncio.run(import_module(f"benchmarks.{name}").measure())
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    document = [{**asdict(row), "ok": row.ok} for row in rows]
    (arguments.out / "result.json").write_text(json.dumps(document, indent=2) + "\n")
    console = Console()
    console.width = max(console.width, _WIDTH)  # piped, a table need not be narrow
    console.print(_table(rows))
    return 0 if all(row.ok for row in rows) else 3


def _table(rows: list[Row]) -> Table:
    table = Table(title="What Tonnage costs, and how fast it is")
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
            row.note,
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
