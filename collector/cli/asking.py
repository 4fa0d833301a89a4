"""One question to the collector, or to whoever types."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from collector.endpoint import Endpoint

if TYPE_CHECKING:
    from collector.client import Client

T = TypeVar("T")


def make_sure(what: str, question: str, yes: bool) -> None:
    """Ask a person whether it is meant, unless ``yes``; without a terminal, ``InvalidInput``.

    ``what`` says what it does: "kills every instance".
    """
    from collector.errors import InvalidInput

    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidInput(
            f"this {what}, and there is nobody to ask whether it is meant",
            field="--yes",
            remedy="Say --yes where there is no terminal.",
        )
    typer.confirm(question, abort=True, err=True)


def ask(collector: Endpoint, question: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, ask, leave. Raises ``TonnageError``."""
    from collector.cli import interrupts

    return interrupts.run(_asked(collector, question))


async def _asked(collector: Endpoint, question: Callable[[Client], Awaitable[T]]) -> T:
    from collector.client import Client

    async with Client(collector) as client:
        return await question(client)
