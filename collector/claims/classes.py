"""The classes of runtime that the lesson speaks of, and those that blur its line."""

from __future__ import annotations

from collections.abc import Mapping

from collector.claims.model import Class
from collector.reports.model import Kind

CLASSES: Mapping[str, Class] = {
    "docker": "container",
    "podman": "container",
    "containerd": "container",
    "runc": "container",
    "docker-runsc": "sandboxed container",
    "qemu-microvm": "microVM",
    "qemu-full": "full VM",
}
CONTAINERS: frozenset[Class] = frozenset({"container", "sandboxed container"})
MACHINES: frozenset[Class] = frozenset({"microVM", "full VM", "restored VM"})
LESSON: frozenset[Class] = frozenset({"container", "full VM"})
"""The two stacks that the lesson draws: a claim stands or falls with them."""

BLURS: Mapping[Class, str] = {
    "sandboxed container": "gVisor answers system calls with a kernel of its own",
    "microVM": "a microVM boots a kernel, and no firmware and no distribution",
    "restored VM": "a restored VM has a kernel and boots none",
}


def class_of(subject: Kind) -> Class | None:
    """The class of a subject; None for a runtime that the lesson says nothing of."""
    found = CLASSES.get(subject.runtime)
    if found in ("microVM", "full VM") and subject.mode == "restore":
        return "restored VM"
    return found
