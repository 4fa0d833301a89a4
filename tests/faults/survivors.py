"""Instances on this host by what the kernel has of them, whatever any engine knows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import docker
import psutil

# What an instance is to the host: the workload's process, a sandbox that hides it, a VMM,
# a container on its way there; and what an engine has beside each.
_INSTANCES = ("tonnage-idle", "runsc-sandbox", "qemu-system", "runc init")
_COMPANIONS = ("containerd-shim", "conmon")

# A container's own name for itself, and Tonnage's for an instance.
_INSTANCE = re.compile(r"[0-9a-f]{64}|\bi[0-9a-f]{16}\b")
_GROUPS = Path("/sys/fs/cgroup")


def instances() -> int:
    """How many processes are instances, of whomever."""
    found = psutil.process_iter(["cmdline"])
    lines = (" ".join(process.info["cmdline"] or ()) for process in found)
    return sum(any(word in line for word in _INSTANCES) for line in lines)


def companions() -> int:
    """How many processes are an engine's own beside an instance, of whomever."""
    found = (process.info for process in psutil.process_iter(["name", "status"]))
    alive = (told["name"] for told in found if told["status"] != psutil.STATUS_ZOMBIE)
    return sum(name.startswith(_COMPANIONS) for name in alive)


def records(addresses: Iterable[str]) -> int:
    """How many containers engines with Docker's API know of, running or not."""
    found = 0
    for address in addresses:
        client = docker.DockerClient(address)
        try:
            found += len(client.containers.list(all=True, sparse=True))
        finally:
            client.close()
    return found


def traces() -> int:
    """How many processes, overlay mounts and cgroups are of instances, of whomever."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    overlays = sum(" - overlay " in line for line in mounts)
    groups = {name for _, folders, _ in os.walk(_GROUPS) for name in folders}
    named = sum(bool(_INSTANCE.search(name)) for name in groups)
    return instances() + companions() + overlays + named


def of_engine(run: Path, mark: str) -> int:
    """How many processes are of one engine's instances: its shims, which name its folder,
    whatever descends from them, workloads with ``mark`` in their environment, and what
    stands on the way to its workload while no shim is its parent any more."""
    found: set[int] = set()
    for process in psutil.process_iter(["pid", "ppid", "name", "cmdline", "environ"]):
        told = process.info
        line = " ".join(told["cmdline"] or ())
        if told["name"].startswith("containerd-shim") and str(run) in line:
            found |= {process.pid, *_below(process)}
        elif mark in (told["environ"] or {}).values() or (
            line.endswith("runc init") and told["ppid"] == 1
        ):
            found.add(process.pid)
    return len(found)


def _below(process: psutil.Process) -> set[int]:
    try:
        return {child.pid for child in process.children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()
