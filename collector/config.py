"""The collector's configuration: flags, then ``TONNAGE_COLLECTOR_*``, then a TOML file,
then defaults.

Every key is a field of ``CollectorConfig``: ``lost_after`` is the flag ``--lost-after``,
the variable ``TONNAGE_COLLECTOR_LOST_AFTER`` and the key ``lost_after`` of the file that
``--config`` or ``TONNAGE_COLLECTOR_CONFIG`` names.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from collector.errors import ConfigError
from tonnage.address import Address, Place, ip_address, place

ENV_PREFIX = "TONNAGE_COLLECTOR_"
_DAY_SECONDS = 86_400


def _default_store() -> str:
    return str(Path.home() / ".local" / "share" / "tonnage")


class CollectorConfig(BaseSettings):
    """Every key of the collector. Times are seconds, but where the name says days."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    tls_dir: Path | None = Field(
        None,
        description="Folder of tonnage pki init; needed to listen beyond this host. Then both "
        "addresses speak TLS.",
    )
    listen: str = Field(
        "127.0.0.1:7070",
        description="Where CollectorService listens: IP:PORT or unix:/PATH; loopback alone "
        "without tls_dir.",
    )
    http: str = Field(
        "127.0.0.1:7071",
        description="Where hosts join, and /metrics, /sd/prometheus and /healthz are served; "
        "loopback alone without tls_dir.",
    )
    advertise: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._:-]{0,253}$",
        description="Name or IP address, without port, that joining agents are told to dial; by "
        "default the address listened on, or where that is every address, the one they joined at.",
    )
    certificate_life: float = Field(
        30.0 * _DAY_SECONDS,
        ge=1,
        le=3650 * _DAY_SECONDS,
        description="Life of an agent's certificate; it is renewed after two thirds.",
    )
    store: str = Field(
        default_factory=_default_store,
        min_length=1,
        description="Where runs are kept: a folder, sqlite:////PATH (four slashes: an absolute "
        "path), or postgresql://USER@HOST:PORT/DATABASE, where ?passfile=/PATH names a file with "
        "the password.",
    )
    retention_days: float = Field(
        0.0,
        ge=0,
        le=36_500,
        description="Trials of runs that ended longer ago are removed, within the hour; their "
        "results are kept. 0 keeps every trial.",
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

    @field_validator("tls_dir", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("listen", "http")
    @classmethod
    def _reachable_by_whom(cls, value: str, info: ValidationInfo) -> str:
        at = ip_address(value) if info.field_name == "http" else place(value)
        if not at.private and info.data.get("tls_dir") is None:
            raise ValueError(
                "is not a loopback address, and without --tls-dir there is no TLS to serve others"
            )
        return value

    @property
    def grpc_address(self) -> Place:
        """``listen``, parsed."""
        return place(self.listen)

    @property
    def http_address(self) -> Address:
        """``http``, parsed."""
        return ip_address(self.http)


def load(arguments: Sequence[str]) -> CollectorConfig:
    """Read the configuration; raises ``ConfigError`` naming the first key that is wrong."""
    given = {k: v for k, v in vars(_parser().parse_args(arguments)).items() if v is not None}
    path = given.pop("config", None) or os.environ.get(f"{ENV_PREFIX}CONFIG")
    filed = _file(Path(path)) if path else {}
    in_environment = {key for key in filed if f"{ENV_PREFIX}{key.upper()}" in os.environ}
    kept = {key: value for key, value in filed.items() if key not in in_environment}
    try:
        return CollectorConfig(**{**kept, **given})
    except ValidationError as error:
        raise _config_error(error) from error


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m collector.app", description="The collector of Tonnage.", allow_abbrev=False
    )
    parser.add_argument(
        "--config", help=f"TOML file with any of the keys below. [{ENV_PREFIX}CONFIG]"
    )
    for name, field in CollectorConfig.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, help=f"{field.description} [{ENV_PREFIX}{name.upper()}]")
    return parser


def _file(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", field="--config", value=str(path)
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", field="--config", value=str(path)) from error


def _config_error(error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        known = ", ".join(CollectorConfig.model_fields)
        return ConfigError("is no key of the collector", field=name, remedy=f"Keys: {known}.")
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
