"""Commands about certificates: make the authority, issue, list, revoke."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.options import DEFAULT_COLLECTOR, Collector, Output, OutputOption
from collector.endpoint import PKI_DIR

if TYPE_CHECKING:
    from collections.abc import Container
    from datetime import datetime

    from collector.model import Certificate
    from tonnage.identity import Identity

PkiDir = Annotated[Path, typer.Option("--dir", help="The folder with the authority's key.")]


class IssuedRole(StrEnum):
    """The roles that certificates are issued for by hand; a host joins instead."""

    OPERATOR = "operator"
    VIEWER = "viewer"
    COLLECTOR = "collector"


def init(
    directory: PkiDir = PKI_DIR,
    name: Annotated[str, typer.Option(help="The authority's name, for people.")] = "",
    operator: Annotated[
        str, typer.Option(help="Whom the first operator's certificate is for; absent: you.")
    ] = "",
) -> None:
    """Make an authority, the collector's certificate, and one for an operator.

    Run it on the collector's host. Nothing is overwritten. Whoever has ca.key can make
    certificates of every role: keep a copy of the folder where nobody else reads it.
    """
    from collector.cli import screen
    from collector.pki.folder import PkiFolder

    person = _identity("operator", operator or os.environ.get("USER") or "operator", "--operator")
    made = PkiFolder(directory).create(
        (name or f"Tonnage of {os.uname().nodename}")[:64], person.name
    )
    screen.put("".join(f"{path}\n" for path in made))
    screen.say(
        f"""made an authority, the collector's certificate, and one for operator {person.name}
next:
  tonnage serve --tls-dir {directory} --listen 0.0.0.0:7070 --http 0.0.0.0:7071
  tonnage token create --tls-dir {directory}    prints what to type on each host
elsewhere: tonnage pki issue --role operator --name NAME --out DIR makes more certificates"""
    )


def issue(
    role: Annotated[IssuedRole, typer.Option(help="What it entitles to.")],
    out: Annotated[Path, typer.Option(help="The folder to write ca.pem, NAME.pem, NAME.key to.")],
    name: Annotated[str, typer.Option(help="Whom it is for.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it lasts.")] = 365,
    directory: PkiDir = PKI_DIR,
) -> None:
    """Issue a certificate for a person, or another for the collector, with a key of its own.

    Needs the authority's key, so it runs on the collector's host. Hand the folder over by
    a way that nobody else reads.

    \b
    For example:
      tonnage pki issue --role viewer --name jane --out /root/jane
    """
    from datetime import timedelta

    from collector.cli import screen
    from collector.pki import folder

    identity = _identity(role.value, name or _only_name(role), "--name")
    pki = folder.PkiFolder(directory)
    pki.authority()
    folder.make_folder(out)
    _put_authorities(pki.read_authorities(), out / "ca.pem")
    made = pki.issue(identity, out, timedelta(days=days))
    screen.put("".join(f"{path}\n" for path in made))
    screen.say(f"use it with --tls-dir {out} or TONNAGE_TLS_DIR={out}")


def show(collector: Collector = DEFAULT_COLLECTOR, output: OutputOption = Output.TABLE) -> None:
    """List the certificates that the collector knows, newest first, and the authority.

    Those in the last sixth of their life that nobody replaced are ending.
    """
    from collector.cli import screen
    from collector.cli.asking import ask
    from collector.pki.expiry import ending
    from tonnage.lifetime import utc_now

    found = ask(collector, lambda client: client.certificates())
    if output is Output.JSON:
        screen.print_rows(found)
        return
    now = utc_now()
    soon = {each.serial for each in ending(found, now)}
    screen.print_table(
        ("SERIAL", "ROLE", "NAME", "STATE", "FROM", "UNTIL"),
        [
            (
                certificate.serial,
                certificate.role or "unknown",
                certificate.name or "-",
                _state(certificate, soon, now),
                screen.moment(certificate.not_before_unix_ns),
                screen.moment(certificate.not_after_unix_ns),
            )
            for certificate in found
        ],
        "no certificates: this collector runs without TLS",
    )


def revoke(
    serial: Annotated[
        str, typer.Argument(help="The certificate's serial, as tonnage pki show lists it.")
    ] = "",
    host: Annotated[str, typer.Option(help="Every certificate of this host instead.")] = "",
    person: Annotated[
        str, typer.Option(help="Every certificate of the operator or viewer of this name.")
    ] = "",
    collector: Collector = DEFAULT_COLLECTOR,
) -> None:
    """Revoke a certificate, or all of a host or a person, at once and for good.

    What it has open ends. The collector refuses it from now on, agents with their next
    lease. A host without another is lost and not dialled until it is back with a new token
    and tonnage-agent join --force. Who stole a certificate may have renewed it: --host and
    --person end those too.
    """
    from collector.cli import screen
    from collector.cli.asking import ask

    revoked = ask(collector, lambda client: client.revoke_certificate(serial, host, person))
    for each in revoked:
        screen.put(f"{each}\n")
    if not revoked:
        of = f"host {host}" if host else person
        what = f"{of} has no certificate that was valid" if of else "it was revoked before"
        screen.say(f"nothing to revoke: {what}")


def _identity(role: str, name: str, flag: str) -> Identity:
    import re

    from collector.errors import InvalidInput
    from tonnage.identity import NAME_PATTERN, Identity, Role

    if not re.fullmatch(NAME_PATTERN, name):
        message = "a name has letters, digits, dots, dashes and underscores, at most 63"
        raise InvalidInput(message, field=flag, value=name[:80], remedy=f"Give another {flag}.")
    if role == Role.COLLECTOR and name != Role.COLLECTOR:
        message = "every part looks for a collector of the name collector"
        raise InvalidInput(message, field=flag, value=name, remedy=f"Leave {flag} out.")
    return Identity(Role(role), name)


def _only_name(role: IssuedRole) -> str:
    from collector.errors import InvalidInput

    if role is IssuedRole.COLLECTOR:
        return "collector"
    message = "is needed: the audit log tells people apart by it"
    raise InvalidInput(message, field="--name", remedy="Say whom the certificate is for.")


def _put_authorities(text: str, path: Path) -> None:
    """Put the authorities beside the certificate. Raises ``ConfigError`` if others are there."""
    from collector.errors import ConfigError
    from collector.pki.folder import write_text

    if not path.exists():
        write_text(path, text)
    elif path.read_text(encoding="ascii", errors="replace") != text:
        raise ConfigError(
            "is of another authority: nothing was written",
            field="--out",
            value=str(path),
            remedy="Name another folder.",
        )


def _state(certificate: Certificate, soon: Container[str], now: datetime) -> str:
    if certificate.revoked_at_unix_ns is not None:
        return "revoked"
    if certificate.not_after_unix_ns <= now.timestamp() * 1e9:
        return "expired"
    return "ending" if certificate.serial in soon else "valid"
