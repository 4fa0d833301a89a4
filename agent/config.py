"""The agent's configuration: flags, then ``TONNAGE_AGENT_*``, then a TOML file.

Every key is a field of ``AgentConfig``: ``spool_cap_bytes`` is the flag
``--spool-cap-bytes``, the variable ``TONNAGE_AGENT_SPOOL_CAP_BYTES`` and the key
``spool_cap_bytes`` of the file.
"""

from __future__ import annotations

import argparse
import ipaddress
import socket
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agent.errors import ConfigError
from agent.facts import agent_version
from agent.guards import Limits

ENV_PREFIX = "TONNAGE_AGENT_"
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Address:
    """A loopback address and port; port 0 means any."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def another(self, flag: str) -> str:
        """The way out where this cannot be listened on; ``flag`` names another."""
        return (
            f"Choose another port with {flag}, or 0 for any; "
            f"ss -ltnp 'sport = :{self.port}' shows who holds port {self.port}."
        )


class AgentConfig(BaseModel):
    """Every key of the agent. Sizes are bytes, times seconds, pressures percent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=63,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="The host's name in Tonnage; the host name by default.",
    )
    listen: str = Field("127.0.0.1:7080", description="Where AgentService listens; loopback only.")
    metrics: str = Field("127.0.0.1:7081", description="Where /metrics is served; loopback only.")
    collector: str = Field(
        "", description="The collector's address to register with; empty: none, the agent waits."
    )
    data_dir: Path = Field(
        Path("/var/lib/tonnage/agent"),
        description="Folder of the agent's id, its spool and its journal; kept over restarts.",
    )
    runtimes: tuple[str, ...] = Field(
        ("docker", "qemu-microvm"), min_length=1, description="Runtimes to offer, by name."
    )
    docker_host: str | None = Field(
        None, description="URL of the Docker engine; else DOCKER_HOST, else the default socket."
    )
    guest_dir: Path | None = Field(None, description="Folder with vmlinuz and busybox for VMs.")
    images_dir: Path | None = Field(None, description="Folder with image archives (*.tar).")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Operator's labels, name=value, that travel as facts."
    )
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="What is logged on stderr: debug, info, warning or error.",
    )

    spool_cap_bytes: int = Field(
        512 * _MIB, ge=_MIB, description="Largest size of the outbox; launching pauses above it."
    )
    spool_keep_seconds: float = Field(
        3600, ge=0, description="How long a run is kept once it ended and the collector has it."
    )
    spool_patience_seconds: float = Field(
        60, ge=0, description="How long launching pauses for a full spool before the run ends."
    )

    guard_memory_headroom_bytes: int = Field(
        512 * _MIB, ge=0, description="MemAvailable below which nothing is launched."
    )
    guard_disk_headroom_bytes: int = Field(
        1024 * _MIB, ge=0, description="Free disk space below which nothing is launched."
    )
    guard_max_instances: int = Field(
        2000, ge=1, description="Instances this agent ever holds at once."
    )
    guard_max_run_seconds: float = Field(
        6 * 3600, gt=0, description="Wall time after which a run is ended."
    )
    guard_cpu_some_avg10: float | None = Field(
        None,
        gt=0,
        le=100,
        description="CPU pressure above which nothing is launched; off if unset.",
    )
    guard_memory_some_avg10: float | None = Field(
        60.0, gt=0, le=100, description="Memory pressure above which nothing is launched."
    )
    guard_io_some_avg10: float | None = Field(
        None, gt=0, le=100, description="IO pressure above which nothing is launched; off if unset."
    )
    guard_disk_paths: tuple[str, ...] = Field(
        (), description="Folders whose disks are guarded, beside that of data_dir."
    )

    drain_seconds: float = Field(
        30, gt=0, description="How long streams may go on once the agent was asked to stop."
    )
    orphan_grace_seconds: float = Field(
        600,
        gt=0,
        description="An instance ends by itself this long after its run's time limit, if it can.",
    )

    @field_validator("runtimes", "guard_disk_paths", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @field_validator("labels", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        words = [word.strip() for word in value.split(",") if word.strip()]
        if not all("=" in word for word in words):
            raise ValueError("must be name=value, separated by commas")
        return dict(word.split("=", 1) for word in words)

    @field_validator("listen", "metrics")
    @classmethod
    def _loopback(cls, value: str) -> str:
        address(value)
        return value

    @property
    def limits(self) -> Limits:
        """The guards' limits."""
        return Limits(
            memory_headroom_bytes=self.guard_memory_headroom_bytes,
            disk_headroom_bytes=self.guard_disk_headroom_bytes,
            max_instances=self.guard_max_instances,
            max_run_seconds=self.guard_max_run_seconds,
            cpu_some_avg10=self.guard_cpu_some_avg10,
            memory_some_avg10=self.guard_memory_some_avg10,
            io_some_avg10=self.guard_io_some_avg10,
        )


def address(text: str) -> Address:
    """Parse ``HOST:PORT``. Raises ``ValueError`` unless the host is a loopback address:
    the agent is root-equivalent, and without mutual TLS nobody else may reach it."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT with a port from 0 to 65535")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise ValueError("must be an IP address and a port, such as 127.0.0.1:7080") from None
    if not loopback:
        raise ValueError("must be a loopback address: the agent has no mutual TLS yet")
    return Address("127.0.0.1" if host == "localhost" else host, int(port))


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> AgentConfig:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tonnage-agent",
        description="Launches and measures containers and VMs on this host.",
        epilog=f"Each flag has a twin in the environment, {ENV_PREFIX}*, and in the file.",
    )
    parser.add_argument("--version", action="version", version=agent_version())
    parser.add_argument("--config", metavar="FILE", help="TOML file with any of these keys.")
    for key, field in AgentConfig.model_fields.items():
        default = "" if field.default_factory or field.default in (None, "", ()) else field.default
        shown = ",".join(default) if isinstance(default, tuple) else default
        text = f"{field.description} [{shown}]" if shown != "" else f"{field.description}"
        parser.add_argument(_flag(key), metavar=_metavar(key), help=text.replace("%", "%%"))
    return parser


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _metavar(key: str) -> str:
    return {"listen": "ADDR", "metrics": "ADDR", "collector": "ADDR"}.get(
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
