"""Run the benchmarks, print their table, and write ``build/bench/result.json``.

``python -m benchmarks [NAME ...] [--out FOLDER]``; without names, all of them.
Exits 3 when a row misses its target.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.report import tell
from benchmarks.rows import Row

MODULES = (
    "cli",
    "ingest",
    "store",
    "docker_start",
    "launch_rate",
    "idle_agent",
    "qemu_start",
    "restore",
)


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
    tell(rows, "What Tonnage costs, and how fast it is", arguments.out)
    return 0 if all(row.ok for row in rows) else 3


if __name__ == "__main__":
    sys.exit(main())
