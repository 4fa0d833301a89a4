"""The host's facts, which travel with every result.

Everything is read from /proc, /sys and os-release below given roots. What a
host does not tell is empty or ``unknown``, never guessed.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tonnage.model import HostFacts


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this agent is: its host's name in Tonnage, its id, the operator's labels."""

    host: str
    agent_id: str
    labels: dict[str, str] = field(default_factory=dict)


def read_facts(
    identity: Identity,
    *,
    proc: Path = Path("/proc"),
    sys: Path = Path("/sys"),
    etc: Path = Path("/etc"),
) -> HostFacts:
    """Read the facts below these roots; never raises for what a host lacks."""
    memory = _text(proc / "meminfo")
    return HostFacts(
        host=identity.host,
        agent_id=identity.agent_id,
        agent_version=agent_version(),
        boot_id=_text(proc / "sys/kernel/random/boot_id"),
        kernel=_text(proc / "sys/kernel/osrelease"),
        os=_os_name(etc),
        architecture=platform.machine(),
        cpu_model=_cpu_field(proc, "model name"),
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=_bytes_of(memory, "MemTotal"),
        swap_bytes=_bytes_of(memory, "SwapTotal"),
        cgroup=_cgroup(sys),
        virtualization=_virtualization(proc, sys),
        ksm=_ksm(sys),
        transparent_huge_pages=_bracketed(sys / "kernel/mm/transparent_hugepage/enabled"),
        governor=_text(sys / "devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        psi=(proc / "pressure/memory").exists(),
        labels=identity.labels,
    )


@cache
def agent_version() -> str:
    """The installed version of this distribution, ``unknown`` when run from a bare tree."""
    try:
        return version("tonnage")
    except PackageNotFoundError:
        return "unknown"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip().strip("\0")
    except OSError:
        return ""


def _bytes_of(meminfo: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def _os_name(etc: Path) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', _text(etc / "os-release"), re.MULTILINE)
    return found.group(1) if found else "unknown"


@cache
def _cpu_field(proc: Path, name: str) -> str:
    """A field of the first CPU. Read once: it is the same until the next boot."""
    found = re.search(rf"^{name}\s*:\s*(.*)$", _text(proc / "cpuinfo"), re.MULTILINE)
    return found.group(1).strip() if found else ""


@cache
def _cgroup(sys: Path) -> str:
    """``v2`` when the unified tree is the root, ``hybrid`` when v1 has it beside it."""
    root = sys / "fs/cgroup"
    if (root / "cgroup.controllers").exists():
        return "v2"
    if not (root / "memory").is_dir():
        return "unknown"
    return "hybrid" if _has_unified_mount(root) else "v1"


def _has_unified_mount(root: Path) -> bool:
    return any((root / name / "cgroup.controllers").exists() for name in ("unified", "systemd"))


_VENDORS = {
    "qemu": "qemu",
    "kvm": "kvm",
    "amazon ec2": "amazon",
    "google": "google",
    "vmware": "vmware",
    "virtualbox": "virtualbox",
    "microsoft corporation": "hyperv",
    "xen": "xen",
    "firecracker": "firecracker",
}


@cache
def _virtualization(proc: Path, sys: Path) -> str:
    """What the host itself runs on; ``vm`` when only the CPU's hypervisor flag tells."""
    vendor = _text(sys / "class/dmi/id/sys_vendor").lower()
    product = _text(sys / "class/dmi/id/product_name").lower()
    for word, name in _VENDORS.items():
        if word in vendor or word in product:
            return name
    return "vm" if "hypervisor" in _cpu_field(proc, "flags").split() else ""


def _ksm(sys: Path) -> str:
    state = _text(sys / "kernel/mm/ksm/run")
    return {"0": "off", "1": "on", "2": "off"}.get(state, "unknown")


def _bracketed(path: Path) -> str:
    found = re.search(r"\[(\w+)\]", _text(path))
    return found.group(1) if found else "unknown"
