"""Pull the plugs, print the table, and write ``build/faults/result.json``.

``python -m tests.faults [NAME ...] [--size SHARE] [--out FOLDER]``; without names, all but
``runtime_kills``. ``--size 0.1`` does a tenth of everything. Exits 3 when a row misses its target.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.report import tell
from benchmarks.rows import Row

MODULES = ("kills", "docker_kills", "network", "disk", "clock", "slow_collector", "swarm", "fuzz")
# Only where it is named: with it, all of them would take longer than half an hour.
APART = ("runtime_kills",)
NAMES = (*MODULES, *APART)
_MOST_MINUTES = 25.0


def main() -> int:
    """Run, print, write; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--size", type=float, default=1.0, metavar="SHARE")
    parser.add_argument("--out", type=Path, default=Path("build/faults"))
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    if not 0 < arguments.size <= 1:
        parser.error("--size is above 0 and at most 1")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started must end
    rows: list[Row] = []
    first = time.monotonic()
    for name in arguments.names or MODULES:
        began = time.monotonic()
        module = import_module(f"tests.faults.{name}")
        rows += asyncio.run(module.measure(arguments.size))
        sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
    if not arguments.names and arguments.size == 1:
        rows.append(_duration((time.monotonic() - first) / 60))
    tell(rows, "What became of it when plugs were pulled", arguments.out)
    return 0 if all(row.ok for row in rows) else 3


def _duration(minutes: float) -> Row:
    exact = (minutes, minutes)
    return Row("all of this", minutes, exact, "min", _MOST_MINUTES, "max", len(MODULES))


if __name__ == "__main__":
    sys.exit(main())
