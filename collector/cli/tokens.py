"""Commands about the tokens that hosts join with."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, Output, OutputOption

if TYPE_CHECKING:
    from collector.client.access import TokenInfo


def create(
    ttl: Annotated[str, typer.Option(help="How long it lasts: 30m, 1h, 24h.")] = "1h",
    uses: Annotated[int, typer.Option(min=1, max=10_000, help="How many hosts may join.")] = 1,
    host: Annotated[
        str,
        typer.Option(
            help="The only name that may join with it; needed to join a live host's name anew."
        ),
    ] = "",
    collector: Collector = DEFAULT_COLLECTOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a token with which a host joins. It is shown this once.

    Prints the token, and says what to type on the host.

    \b
    For example:
      tonnage token create >token.txt
      tonnage token create --ttl 24h --uses 20
      tonnage token create --host web-3
    """
    from collector.cli import screen
    from collector.cli.asking import ask
    from collector.cli.reading import read
    from collector.spec.units import TokenLife

    seconds = read(TokenLife, "--ttl", ttl)
    made = ask(collector, lambda client: client.create_token(seconds, uses, host))
    if output is Output.JSON:
        screen.print_json(asdict(made))
        return
    screen.put(f"{made.token}\n")
    whom = f"host {host}" if host else ("1 host" if uses == 1 else f"{uses} hosts")
    screen.say(
        f"on the host, which asks for the token, or reads it from a file with <token.txt:\n"
        f"  {made.command}\n"
        f"token {made.token_id}, for {whom}, until {screen.moment(made.expires_at_unix_ns)}; "
        f"it is not shown again. End it with tonnage token revoke {made.token_id}"
    )


def show(collector: Collector = DEFAULT_COLLECTOR, output: OutputOption = Output.TABLE) -> None:
    """List the tokens that were made, newest first, without their secrets."""
    import time

    from collector.cli import screen
    from collector.cli.asking import ask

    found = ask(collector, lambda client: client.tokens())
    if output is Output.JSON:
        screen.print_rows(found)
        return
    now = time.time_ns()
    screen.print_table(
        ("TOKEN", "STATE", "USES LEFT", "HOST", "UNTIL", "MADE BY", "MADE"),
        [
            (
                token.token_id,
                _state(token, now),
                token.uses_left,
                token.host or "any",
                screen.moment(token.expires_at_unix_ns),
                token.created_by,
                screen.moment(token.created_at_unix_ns),
            )
            for token in found
        ],
        "no tokens; make one with tonnage token create",
    )


def revoke(
    token: Annotated[str, typer.Argument(help="The token's id, as tonnage token list shows it.")],
    collector: Collector = DEFAULT_COLLECTOR,
) -> None:
    """End a token. Hosts that joined with it stay."""
    from collector.cli import screen
    from collector.cli.asking import ask

    ask(collector, lambda client: client.revoke_token(token))
    screen.say(f"token {token} is revoked")


def _state(token: TokenInfo, now_unix_ns: int) -> str:
    if token.revoked:
        return "revoked"
    if not token.uses_left:
        return "used up"
    return "valid" if token.expires_at_unix_ns > now_unix_ns else "expired"
