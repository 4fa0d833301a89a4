"""The containerd at hand: the one that a Docker engine uses, where that can be told."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "CONTAINERD_ADDRESS"
SYSTEM_SOCKET = Path("/run/containerd/containerd.sock")


def address_beside(docker_host: str | None, system: Path = SYSTEM_SOCKET) -> str | None:
    """The socket that was named, else the one of a containerd that the engine started itself,
    which lies below the folder of the engine's socket, else the host's; ``None`` without any."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    engine = Path((docker_host or "").removeprefix("unix://"))
    sockets = (engine.parent / "containerd" / "containerd.sock", system)
    return next((str(path) for path in sockets if path.is_absolute() and path.is_socket()), None)
