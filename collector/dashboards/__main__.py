"""``python -m collector.dashboards [--check]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from collector.dashboards.catalogue import every_dashboard
from collector.dashboards.writing import COMMAND, FOLDER, stale, texts, write


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where ``--check`` finds something stale."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where they go")
    chosen = parser.parse_args(arguments)
    wanted = texts(every_dashboard())
    if not chosen.check:
        changed = write(wanted, chosen.out)
        sys.stderr.write(f"{len(wanted)} dashboards in {chosen.out}, {len(changed)} changed\n")
        return 0
    found = stale(wanted, chosen.out)
    if found:
        sys.stderr.write(f"stale: {', '.join(found)}; run `{COMMAND}`\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
