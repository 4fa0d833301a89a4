"""Commands about where a collector keeps its runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from collector.cli.options import Output, OutputOption

_PLACE = "a folder, sqlite:////PATH or postgresql://USER@HOST/DATABASE."


def copy(
    source: Annotated[str, typer.Argument(help=f"The store: {_PLACE}")],
    destination: Annotated[str, typer.Argument(help="Where it is to be, likewise; empty now.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Copy a whole history into a new store, of the same engine or of the other.

    Every row is read back and compared by count and SHA-256 before the copy becomes a
    store; whatever goes wrong before that, nothing of it stays. No collector may use either
    of them meanwhile: agents keep what they measure, and it is pulled afterwards.

    \b
    For example:
      tonnage store copy /var/lib/tonnage/collector postgresql://tonnage@db.example/tonnage
    """
    words = ["--output", output.value, "--", source, destination]
    os.execv(sys.executable, [sys.executable, "-m", "collector.store_copy", *words])  # noqa: S606 - no shell
