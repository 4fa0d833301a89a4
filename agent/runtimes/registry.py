"""The runtimes there are: one line each, imported only when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from agent.errors import ConfigError
from agent.runtimes.base import Runtime

RUNTIMES: dict[str, str] = {
    "docker": "agent.runtimes.docker:open_docker",
    "containerd": "agent.runtimes.containerd:open_containerd",
    "runc": "agent.runtimes.runc:open_runc",
    "docker-runsc": "agent.runtimes.docker.runsc:open_runsc",
    "podman": "agent.runtimes.docker.podman:open_podman",
    "qemu-microvm": "agent.runtimes.qemu:open_microvm",
    "qemu-full": "agent.runtimes.qemu:open_full",
    "fake": "agent.runtimes.fake:open_fake",
}


DEFAULT_ENGINE = "unix:///var/run/docker.sock"


def engine_url(configured: str | None) -> str:
    """Of the Docker engine: as configured, else the environment's, else the default socket."""
    return configured or os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """What the agent's configuration says to its runtimes.

    ``state_dir`` is the runtimes' own folder, kept over restarts. ``docker_host``
    is a URL as in ``DOCKER_HOST``; ``None`` means the environment's, else the
    default socket; ``podman_host`` likewise, as in ``CONTAINER_HOST``;
    ``containerd_address`` is a path, as in ``CONTAINERD_ADDRESS``. ``guest_dir``
    holds ``vmlinuz`` and ``busybox``, ``images_dir`` image archives; ``None`` where the
    host has none. The contents of an image up to ``guest_in_memory_bytes`` lie in a
    microVM's memory, those of a larger one on a disk. What is made of an image is kept
    ``image_cache_seconds`` after its last use.
    """

    agent_id: str
    state_dir: Path
    docker_host: str | None = None
    podman_host: str | None = None
    containerd_address: str | None = None
    guest_dir: Path | None = None
    images_dir: Path | None = None
    guest_in_memory_bytes: int = 32 << 20
    image_cache_seconds: float = 30 * 86400


def open_runtimes(names: Sequence[str], settings: RuntimeSettings) -> list[Runtime]:
    """Make the named runtimes, in that order; nothing is contacted yet.

    Raises ``ConfigError`` for a name that is not in the registry and for a
    runtime whose libraries are not installed.
    """
    return [_factory(name)(settings) for name in names]


def _factory(name: str) -> Callable[[RuntimeSettings], Runtime]:
    try:
        module_name, _, function = RUNTIMES[name].partition(":")
    except KeyError:
        raise ConfigError(
            "there is no such runtime",
            field="runtimes",
            value=name,
            remedy=f"Choose among {', '.join(sorted(RUNTIMES))}.",
        ) from None
    try:
        factory: Callable[[RuntimeSettings], Runtime] = getattr(
            import_module(module_name), function
        )
    except ModuleNotFoundError as missing:
        raise ConfigError(
            f"the runtime needs the Python package {missing.name}",
            field="runtimes",
            value=name,
            remedy="Install it with: pip install 'tonnage[agent]'.",
        ) from missing
    return factory
