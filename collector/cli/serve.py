"""The command that serves the collector."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer


def serve(
    listen: Annotated[
        str | None, typer.Option(help="gRPC address, host:port; port 0: any.")
    ] = None,
    http: Annotated[str | None, typer.Option(help="HTTP address for metrics and health.")] = None,
    store: Annotated[
        str | None, typer.Option(help="A folder, or sqlite:///PATH, where runs are kept.")
    ] = None,
) -> None:
    """Serve the collector until SIGTERM or Ctrl-C.

    This process becomes ``python -m collector.app``: flags not given come from its
    TONNAGE_COLLECTOR_* variables or its defaults.
    """
    flags = {"--listen": listen, "--http": http, "--store": store}
    given = [part for flag, value in flags.items() if value is not None for part in (flag, value)]
    os.execv(sys.executable, [sys.executable, "-m", "collector.app", *given])  # noqa: S606 - no shell
