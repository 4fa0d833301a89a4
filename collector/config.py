"""The collector's configuration: flags, then ``TONNAGE_COLLECTOR_*``, then defaults.

Every key is a field of ``CollectorConfig``: ``lost_after`` is the flag
``--lost-after`` and the variable ``TONNAGE_COLLECTOR_LOST_AFTER``.
"""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from collector.errors import ConfigError

ENV_PREFIX = "TONNAGE_COLLECTOR_"
_LAST_PORT = 65535


def _default_store() -> str:
    return str(Path.home() / ".local" / "share" / "tonnage")


@dataclass(frozen=True, slots=True)
class Address:
    """A loopback address and port; port 0 means any."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class CollectorConfig(BaseSettings):
    """Every key of the collector. Times are seconds."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore", frozen=True)

    listen: str = Field("127.0.0.1:7070", description="Where CollectorService listens; loopback.")
    http: str = Field("127.0.0.1:7071", description="Where /metrics and /healthz are served.")
    store: str = Field(
        default_factory=_default_store,
        min_length=1,
        description="Where runs are kept: a folder, or sqlite:///PATH.",
    )
    lease: float = Field(15.0, ge=0.1, le=3600, description="Time until an agent registers again.")
    lost_after: float = Field(
        300.0, ge=0.1, le=86400, description="Time until a silent host is given up by its run."
    )
    cancelled_after: float = Field(
        15.0, ge=0.1, le=86400, description="Likewise, once the run was cancelled."
    )
    busy_after: float = Field(
        3600.0, ge=0.1, le=86400 * 7, description="Time a run waits for another to leave a host."
    )
    drain: float = Field(5.0, ge=0, le=600, description="Time given to open calls at the end.")
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="What is logged on stderr: debug, info, warning or error.",
    )

    @field_validator("listen", "http")
    @classmethod
    def _loopback(cls, value: str) -> str:
        address(value)
        return value


def address(value: str) -> Address:
    """Parse ``HOST:PORT``; raises ``ValueError`` when it is not a loopback address."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise ValueError(f"is not HOST:PORT with a port from 0 to {_LAST_PORT}")
    host = host.removeprefix("[").removesuffix("]")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise ValueError("needs an IP address before the colon") from error
    if not loopback:
        raise ValueError("is not a loopback address, and there is no mTLS yet to serve others")
    return Address(host, int(port))


def load(arguments: Sequence[str]) -> CollectorConfig:
    """Read the configuration; raises ``ConfigError`` naming the first key that is wrong."""
    parser = _Parser(
        prog="python -m collector.app", description="The collector of Tonnage.", allow_abbrev=False
    )
    for name, field in CollectorConfig.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, help=f"{field.description} [{ENV_PREFIX}{name.upper()}]")
    given = {k: v for k, v in vars(parser.parse_args(arguments)).items() if v is not None}
    try:
        return CollectorConfig(**given)
    except ValidationError as error:
        raise _config_error(error) from error


def _config_error(error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    flag = f"--{name.replace('_', '-')}"
    message = first["msg"].removeprefix("Value error, ")
    return ConfigError(
        message[:1].lower() + message[1:],
        field=flag,
        value=str(first["input"])[:200],
        remedy=f"See {flag} in --help; the variable is {ENV_PREFIX}{name.upper()}.",
    )


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, remedy="See --help.")
