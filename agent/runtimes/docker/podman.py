"""``podman``: Podman's service, over the Docker API that it speaks beside its own.

What differs: it has no daemon that must live (the service is one while it is asked),
a ``conmon`` stands by each container where Docker has a shim, and *attach* already
creates the container's process, so that this falls into ``accept``.
"""

from __future__ import annotations

import os

from agent.runtimes.docker.engine import Description
from agent.runtimes.docker.profile import EngineProfile, Finding
from agent.runtimes.docker.runtime import DockerRuntime
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import RuntimeState

VARIABLE = "CONTAINER_HOST"
DEFAULT_SOCKET = "unix:///run/podman/podman.sock"
_ITSELF = "Podman Engine"


def open_podman(settings: RuntimeSettings) -> DockerRuntime:
    """Make the runtime for the host's Podman service."""
    profile = EngineProfile(
        name="podman",
        daemon="podman",
        host=settings.podman_host or os.environ.get(VARIABLE) or DEFAULT_SOCKET,
        option="--podman-host",
        remedy="install podman and start podman.socket, or name its socket with --podman-host",
        examine=examine,
        names_limits=True,
        beside="conmon",
    )
    return DockerRuntime(profile, settings)


def examine(found: Description) -> Finding:
    """Whether it is Podman that answers: rows must not bear its name otherwise."""
    parts = {str(part.get("Name")) for part in found.version.get("Components") or []}
    if _ITSELF in parts:
        return Finding()
    reason = f"what answers there is not Podman but {', '.join(sorted(parts)) or 'unknown'}"
    return Finding((RuntimeState.UNHEALTHY, reason))
