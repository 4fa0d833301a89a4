"""Containers by containerd without Docker: what Kubernetes' hosts run.

=========== ==============================================================
runtime     the runtime; health: whether its daemon can launch
address     which daemon
client      its API; errors translated (``api``: the protos)
store       images: imported by ctr, and found again
order       the calls of a start
pipes       the console: named pipes that the shim opens
instance    one container
removal     what there may be of one, taken away
shims       those that containerd forgot
labels      whose a container is
=========== ==============================================================
"""

from __future__ import annotations

from agent.runtimes.containerd.runtime import ContainerdRuntime
from agent.runtimes.registry import RuntimeSettings

__all__ = ["ContainerdRuntime", "open_containerd"]


def open_containerd(settings: RuntimeSettings) -> ContainerdRuntime:
    """Make the runtime for the host's containerd."""
    return ContainerdRuntime(settings)
