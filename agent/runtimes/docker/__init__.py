"""Containers through an engine that speaks Docker's API on a local socket.

=========== ==============================================================
engine      the SDK in threads of its own; its errors translated, once
transport   the SDK's connections, mended
order       the three calls of a start: create, attach, start
stream      the attached console, demultiplexed on the event loop
config      a launch as the body of a create call
daemons     the engine's own processes
details     what only the engine knows of a container
instance    one container
health      whether the engine can launch, and what it is made of
limits      the engine's resource limits
executed    the programs that it executes for each container
profile     what tells one runtime of this kind from another
runtime     the runtime
runsc       gVisor under the same engine: a profile
podman      another engine of the same API: a profile
=========== ==============================================================
"""

from __future__ import annotations

from agent.runtimes.docker.profile import EngineProfile
from agent.runtimes.docker.runtime import DockerRuntime
from agent.runtimes.registry import RuntimeSettings

__all__ = ["DockerRuntime", "EngineProfile", "open_docker"]


def open_docker(settings: RuntimeSettings) -> DockerRuntime:
    """Make the runtime for the host's Docker engine with its default low-level runtime."""
    return DockerRuntime(EngineProfile(name="docker"), settings)
