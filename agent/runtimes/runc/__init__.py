"""Containers by runc alone: no engine, no shim, the floor of a container's start.

=========== ==============================================================
runtime     the runtime; health: whether the host can, and what with
bundles     files below the state folder; rootfs: an image's files, unpacked once
overlay     a root file system for each instance
groups      where its cgroups are
keeper      how runc begins, and how a container surely ends
appearing   a file's appearance, as an event
instance    one container; remains: what is left of any
=========== ==============================================================
"""

from __future__ import annotations

from agent.runtimes.registry import RuntimeSettings
from agent.runtimes.runc.runtime import RuncRuntime

__all__ = ["RuncRuntime", "open_runc"]


def open_runc(settings: RuntimeSettings) -> RuncRuntime:
    """Make the runtime for the host's runc."""
    return RuncRuntime(settings)
