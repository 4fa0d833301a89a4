"""Every key of the agent's configuration; ``agent.configure`` says where they come from."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent.guards import Limits
from tonnage.address import host_and_port, ip_address, place
from tonnage.identity import NAME_PATTERN

_MIB = 1 << 20


class AgentConfig(BaseModel):
    """Every key of the agent. Sizes are bytes, times seconds, pressures percent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        default_factory=socket.gethostname,
        pattern=NAME_PATTERN,
        description="The host's name in Tonnage; by default its certificate's, else the host name.",
    )
    listen: str = Field(
        "127.0.0.1:7080",
        description="Where AgentService listens, IP:PORT or unix:/PATH; other addresses than"
        " loopback once the agent has joined.",
    )
    metrics: str = Field(
        "127.0.0.1:7081",
        description="Where /metrics is served, IP:PORT; other addresses than loopback once the"
        " agent has joined.",
    )
    advertise: str = Field(
        "",
        description="The address that the collector dials; by default that of listen, and for a"
        " wildcard the one this host has on the way to the collector. Metrics on a"
        " wildcard are told with the same host, and their own port: forward that one unchanged.",
    )
    collector: str = Field(
        "",
        description="The collector's gRPC address to register with; by default the one learnt when"
        " the agent joined. Without any the agent waits to be dialled.",
    )
    tls_dir: Path | None = Field(
        None,
        description="Folder of the agent's identity, made by tonnage-agent join; by default"
        " identity below data_dir, where that exists.",
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
    podman_host: str | None = Field(
        None, description="URL of the Podman service; else CONTAINER_HOST, else its default socket."
    )
    containerd_address: str | None = Field(
        None,
        description="Socket of containerd; else CONTAINERD_ADDRESS, else its default socket.",
    )
    guest_dir: Path | None = Field(None, description="Folder with vmlinuz and busybox for VMs.")
    guest_in_memory_bytes: int = Field(
        32 << 20,
        ge=0,
        description="Largest image that a microVM holds in memory; a larger one lies on a disk.",
    )
    image_cache_seconds: float = Field(
        30 * 86400,
        ge=2 * 86400,
        description="How long an unpacked image or a guest made of one is kept unused; at least"
        " as long as a run may take.",
    )
    images_dir: Path | None = Field(None, description="Folder with image archives (*.tar).")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Operator's labels, name=value, that travel as facts."
    )
    labels_file: Path | None = Field(
        None, description="File with a label name=value on each line; labels given here win."
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

    observe: bool = Field(
        False,
        description="Whether to count and weigh what runs on this host beside the agent's own"
        " instances, read-only: containers by the Docker engine, VMs by their VMM processes.",
    )
    observe_interval_seconds: float = Field(
        15, ge=1, description="How often that is looked at; never while a run is at work."
    )

    cold_drop_caches: bool = Field(
        False,
        description="Whether a cold start may drop all that the host has cached, beside the"
        " files that it reads: it slows everything else on the host.",
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

    @field_validator("tls_dir", "labels_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("labels", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        return labels(value.split(",")) if isinstance(value, str) else value

    @field_validator("listen")
    @classmethod
    def _place(cls, value: str) -> str:
        place(value)
        return value

    @field_validator("metrics")
    @classmethod
    def _ip_address(cls, value: str) -> str:
        ip_address(value)
        return value

    @field_validator("advertise")
    @classmethod
    def _dialled(cls, value: str) -> str:
        if value:
            host_and_port(value)
        return value

    @property
    def identity_dir(self) -> Path:
        """Where the identity is, or would be."""
        return self.tls_dir or self.data_dir / "identity"

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


def labels(lines: Iterable[str]) -> dict[str, str]:
    """Labels of the form name=value; empty lines are passed over. Raises ``ValueError``."""
    found = {}
    for line in filter(str.strip, lines):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not name or not equals:
            raise ValueError("must be name=value, separated by commas or a line each")
        found[name] = value
    return found
