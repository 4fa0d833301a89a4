"""Writes the table of every runtime from a run's result.

``python -m deploy.table RESULT.json TABLE.md``
"""

from __future__ import annotations

import sys
from pathlib import Path

from collector.reports.model import Result
from collector.reports.one_table import render


def main(source: str, target: str) -> None:
    """The command."""
    result = Result.model_validate_json(Path(source).read_text(encoding="utf-8"))
    Path(target).write_text(render(result).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
