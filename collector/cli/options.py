"""The options that several commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from collector.endpoint import Endpoint, usual_tls_dir

DEFAULT_COLLECTOR = Endpoint("127.0.0.1:7070")


class Output(StrEnum):
    """How a list or result is printed on standard output."""

    TABLE = "table"
    JSON = "json"


class TrialFormat(StrEnum):
    """How trials are written."""

    CSV = "csv"
    JSON = "json"


Collector = Annotated[
    Endpoint,
    typer.Option(
        "--collector",
        envvar="TONNAGE_COLLECTOR",
        parser=lambda value: Endpoint(str(value)),
        metavar="ADDRESS",
        help="The collector's address, host:port or unix:/path.",
    ),
]
TlsDir = Annotated[
    Path | None,
    typer.Option(
        "--tls-dir",
        envvar="TONNAGE_TLS_DIR",
        help="The folder with ca.pem and your NAME.pem and NAME.key; absent: none, or "
        "/etc/tonnage/pki where you may read its operator key and the collector is elsewhere.",
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


def dialling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with ``--tls-dir`` beside its ``--collector``, if it has one:
    the endpoint that it is called with holds both."""
    signature = inspect.signature(command)
    if "collector" not in signature.parameters:
        return command

    @functools.wraps(command)
    def dialled(*, collector: Endpoint, tls_dir: Path | None, **given: Any) -> Any:
        folder = tls_dir or usual_tls_dir(collector.address)
        if folder is not None:
            from collector.cli.ending import notice

            notice(folder)
        return command(collector=Endpoint(collector.address, folder), **given)

    hints = get_type_hints(command, include_extras=True)
    own = [each.replace(annotation=hints[name]) for name, each in signature.parameters.items()]
    extra = inspect.Parameter(
        "tls_dir", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=TlsDir
    )
    dialled.__signature__ = inspect.Signature([*own, extra])  # type: ignore[attr-defined]
    dialled.__annotations__ = {**hints, "tls_dir": TlsDir}
    return dialled
