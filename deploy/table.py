"""Writes the table of every runtime from a run's result.

``python -m deploy.table RESULT.json TABLE.md``. Ends with 3 where the forecasts missed what
they are held to; the table is written all the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

from collector.errors import ExitCode
from collector.reports.model import Result
from collector.reports.one_table import missed, render


def main(source: str, target: str) -> int:
    """The command; its exit code."""
    result = Result.model_validate_json(Path(source).read_text(encoding="utf-8"))
    Path(target).write_text(render(result).rstrip() + "\n", encoding="utf-8")
    owed = missed(result)
    for each in owed:
        sys.stderr.write(f"forecast missed: {each}\n")
    return ExitCode.GATE_FAILED if owed else ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
