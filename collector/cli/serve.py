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
    http: Annotated[
        str | None, typer.Option(help="HTTP address for joining, metrics and health.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Where runs are kept: a folder, sqlite:////PATH or postgresql://…"),
    ] = None,
    tls_dir: Annotated[
        str | None,
        typer.Option(help="The folder of tonnage pki init; needed to listen beyond this host."),
    ] = None,
    advertise: Annotated[
        str | None, typer.Option(help="Name or IP address that joining agents are told to dial.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="A TOML file with any key of the collector.")
    ] = None,
) -> None:
    """Serve the collector until SIGTERM or Ctrl-C.

    This process becomes ``python -m collector.app``: flags not given come from its
    TONNAGE_COLLECTOR_* variables, its file or its defaults.
    """
    flags = {
        "--config": config,
        "--listen": listen,
        "--http": http,
        "--store": store,
        "--tls-dir": tls_dir,
        "--advertise": advertise,
    }
    given = [part for flag, value in flags.items() if value is not None for part in (flag, value)]
    os.execv(sys.executable, [sys.executable, "-m", "collector.app", *given])  # noqa: S606 - no shell
