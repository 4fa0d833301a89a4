"""The options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_COLLECTOR = "127.0.0.1:7070"


class Output(StrEnum):
    """How a list or result is printed on standard output."""

    TABLE = "table"
    JSON = "json"


class TrialFormat(StrEnum):
    """How trials are written."""

    CSV = "csv"
    JSON = "json"


Collector = Annotated[
    str,
    typer.Option(
        "--collector", envvar="TONNAGE_COLLECTOR", help="The collector's address, host:port."
    ),
]
OutputOption = Annotated[
    Output,
    typer.Option(
        "--output", "-O", envvar="TONNAGE_OUTPUT", help="table for people, or one JSON document."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        envvar="TONNAGE_SET",
        metavar="A.B=C",
        help="Override a value of the experiment, such as startup.trials=300; repeatable.",
    ),
]
Run = Annotated[str, typer.Argument(help="The run's id, or a unique beginning of it.")]
Host = Annotated[str, typer.Option("--host", help="The host; all if absent.")]
File = Annotated[
    Path | None, typer.Option("--out", "-o", help="The file to write; absent: standard output.")
]
