"""Instances on this host by its processes, whatever any engine knows of them."""

from __future__ import annotations

import psutil

# What an instance is to the host: the workload's process, a sandbox that hides it, a VMM,
# a container on its way there.
_INSTANCES = ("tonnage-idle", "runsc-sandbox", "qemu-system", "runc init")


def instances() -> int:
    """How many processes are instances, of whomever."""
    found = psutil.process_iter(["cmdline"])
    lines = (" ".join(process.info["cmdline"] or ()) for process in found)
    return sum(any(word in line for word in _INSTANCES) for line in lines)
