"""Where the agent's configuration comes from: flags, then ``TONNAGE_AGENT_*``, then a TOML file.

Every key is a field of ``AgentConfig``: ``spool_cap_bytes`` is the flag
``--spool-cap-bytes``, the variable ``TONNAGE_AGENT_SPOOL_CAP_BYTES`` and the key
``spool_cap_bytes`` of the file. The labels file adds labels, and the agent's identity its
name and the collector that it joined.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.config import AgentConfig, labels
from agent.errors import ConfigError
from agent.facts import agent_version
from agent.identity.folder import IdentityFolder
from tonnage.address import ip_address, place

ENV_PREFIX = "TONNAGE_AGENT_"


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> AgentConfig:
    """The configuration to serve with: read, with what labels file and identity add.

    ``tls_dir`` is set in it if and only if the agent has an identity. Raises
    ``ConfigError``, as for an address that others reach while it has none.
    """
    return _with_identity(_with_labels(read(arguments, environment)))


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> AgentConfig:
    """Merge flags, environment and file, in that order of precedence.

    Raises ``ConfigError`` naming the flag, variable or key; exits 0 for ``--help``
    and 2 for an unknown flag.
    """
    flags = vars(_parser().parse_args(arguments))
    path = flags.pop("config", None) or environment.get(f"{ENV_PREFIX}CONFIG")
    given = {key: value for key, value in flags.items() if value is not None}
    values = {**(_file(Path(path)) if path else {}), **_environment(environment), **given}
    try:
        return AgentConfig(**values)
    except ValidationError as error:
        raise _config_error(error) from error


def _with_labels(config: AgentConfig) -> AgentConfig:
    if config.labels_file is None:
        return config
    try:
        lines = config.labels_file.read_text().splitlines()
        found = labels(line for line in lines if not line.lstrip().startswith("#"))
    except (OSError, ValueError) as error:
        why = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise ConfigError(
            why,
            field="labels_file",
            value=str(config.labels_file),
            remedy="Write one name=value on each line; lines that begin with # are passed over.",
        ) from error
    return config.model_copy(update={"labels": {**found, **config.labels}})


def _with_identity(config: AgentConfig) -> AgentConfig:
    folder = IdentityFolder(config.identity_dir)
    if not folder.exists():
        _refuse_without_identity(config)
        return config
    who = folder.who()
    if "name" in config.model_fields_set and config.name != who.name:
        raise ConfigError(
            f"is not the name in the certificate, {who.name}",
            field="name",
            value=config.name,
            remedy="Leave --name out, or join again under this name with --force.",
        )
    collector = config.collector or folder.collector()
    return config.model_copy(
        update={"name": who.name, "tls_dir": folder.path, "collector": collector}
    )


def _refuse_without_identity(config: AgentConfig) -> None:
    """The agent is root-equivalent: without mutual TLS nobody else may reach it."""
    join = "tonnage-agent join --collector HOST:PORT --token -"
    if config.tls_dir is not None:
        raise ConfigError(
            "holds no identity",
            field="tls_dir",
            value=str(config.tls_dir),
            remedy=f"Leave --tls-dir out, or join with it first: {join}.",
        )
    for key, at in (("listen", place(config.listen)), ("metrics", ip_address(config.metrics))):
        if not at.private:
            raise ConfigError(
                "is no loopback address, and without an identity there is no mutual TLS",
                field=key,
                value=str(at),
                remedy=f"Set {_flag(key)} to 127.0.0.1:PORT, or join first: {join}.",
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tonnage-agent",
        description="Launches and measures containers and VMs on this host.",
        epilog="tonnage-agent join --help tells how a host joins a fleet. "
        f"Each flag has a twin in the environment, {ENV_PREFIX}*, and in the file.",
    )
    parser.add_argument("--version", action="version", version=agent_version())
    parser.add_argument("--config", metavar="FILE", help="TOML file with any of these keys.")
    for key, field in AgentConfig.model_fields.items():
        default = "" if field.default_factory or field.default in (None, "", ()) else field.default
        shown = ",".join(default) if isinstance(default, tuple) else default
        shown = "" if shown is False else shown
        text = f"{field.description} [{shown}]" if shown != "" else f"{field.description}"
        flag: dict[str, Any] = {"metavar": _metavar(key), "help": text.replace("%", "%%")}
        if field.annotation is bool:
            flag |= {"nargs": "?", "const": "true", "metavar": "true|false"}
        parser.add_argument(_flag(key), **flag)
    return parser


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _metavar(key: str) -> str:
    return dict.fromkeys(("listen", "metrics", "collector", "advertise"), "ADDR").get(
        key, key.rsplit("_", 1)[-1].upper()
    )


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = {f"{ENV_PREFIX}{key.upper()}": key for key in AgentConfig.model_fields}
    return {key: environment[name] for name, key in names.items() if name in environment}


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", field="config", value=str(path)
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", field="config", value=str(path)) from error


def _config_error(error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    key = str(first["loc"][0]) if first["loc"] else ""
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return ConfigError("is no key of the agent", field=key, remedy="See tonnage-agent --help.")
    remedy = f"Set {_flag(key)} or {ENV_PREFIX}{key.upper()}."
    return ConfigError(message, field=key, value=str(first["input"]), remedy=remedy)
