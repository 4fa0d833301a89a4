"""``tonnage-agent join``: gets this host its identity."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from getpass import getpass

from agent.config import AgentConfig
from agent.configure import ENV_PREFIX, read
from agent.errors import ConfigError
from agent.identity.enrolment import JoinToken, join
from agent.identity.folder import IdentityFolder

_PASSED_ON = ("config", "name", "data_dir", "tls_dir")


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Join and say so on stdout. Raises the agent's errors; exits 2 for a wrong flag."""
    given = _parser().parse_args(arguments)
    config = read(_configuration(given), environment)
    folder = IdentityFolder(config.identity_dir)
    _refuse_to_replace(folder, given.force)
    token = JoinToken.parse(_token(given.token))
    address = join(given.collector, token, config.name, folder)
    sys.stdout.write(f"{config.name} joined {address}; its identity is in {folder.path}\n")


def _token(given: str) -> str:
    """The token's text; at a terminal it is asked for, and not shown."""
    if given != "-":
        return given
    return getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()


def _configuration(given: argparse.Namespace) -> list[str]:
    """The flags that the agent itself knows."""
    pairs = ((f"--{key.replace('_', '-')}", getattr(given, key)) for key in _PASSED_ON)
    return [word for flag, value in pairs if value is not None for word in (flag, value)]


def _refuse_to_replace(folder: IdentityFolder, force: bool) -> None:
    if folder.exists() and not force:
        raise ConfigError(
            "holds an identity already",
            field="tls_dir",
            value=str(folder.path),
            remedy="Replace it with --force, or keep it: it renews itself.",
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tonnage-agent join",
        description="Makes a key that never leaves this host and gets a certificate for it.",
    )
    add = parser.add_argument
    add("--collector", required=True, metavar="HOST:PORT", help="The collector's HTTP address.")
    add(
        "--token",
        required=True,
        help="What tonnage token create printed; - asks for it, or reads it from stdin, where no"
        " process list shows it.",
    )
    add("--force", action="store_true", help="Replace the identity that is there.")
    fields = AgentConfig.model_fields
    add("--config", metavar="FILE", help="The agent's TOML file, for the keys below.")
    for key in ("name", "data_dir", "tls_dir"):
        metavar = "NAME" if key == "name" else "DIR"
        twin = f"{ENV_PREFIX}{key.upper()}"
        add(
            f"--{key.replace('_', '-')}",
            metavar=metavar,
            help=f"{fields[key].description} [{twin}]",
        )
    return parser
