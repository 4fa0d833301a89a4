"""A container as an OCI runtime is told of it, with the defaults of a container engine. Pure.

The format is github.com/opencontainers/runtime-spec. Mounts, capabilities, masked and
read-only paths are those that Docker gives a container without further options, so that
the same workload finds the same on every rung; devices are the runtime's own defaults,
as Docker's are. What Docker adds of its own is left out: a seccomp profile, and the files
``/etc/hosts``, ``/etc/hostname`` and ``/etc/resolv.conf``.
"""

from __future__ import annotations

from typing import Any

from agent.runtimes.cgroups import Rules
from agent.runtimes.images.command import Process
from tonnage.model import Target

VERSION = "1.0.2"
_CPU_PERIOD_US = 100_000
_CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)
_MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_MOUNTS = (
    ("/proc", "proc", "proc", "nosuid,noexec,nodev"),
    ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
    ),
    ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev"),
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
    ("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),  # noqa: S108
)


def container_spec(
    process: Process,
    target: Target,
    *,
    root: str,
    hostname: str,
    cgroups_path: str,
    rules: Rules,
) -> dict[str, Any]:
    """The ``config.json`` of a container without a network or a terminal.

    ``root`` is the folder of its root file system; ``cgroups_path`` is absolute, or below
    the cgroup of whoever calls the OCI runtime.
    """
    return {
        "ociVersion": VERSION,
        "hostname": hostname,
        "root": {"path": root, "readonly": False},
        "process": _process(process, hostname),
        "mounts": [_mount(*mount) for mount in _MOUNTS],
        "linux": {
            "cgroupsPath": cgroups_path,
            "namespaces": [{"type": kind} for kind in _namespaces(rules)],
            "resources": _resources(target, rules),
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
        },
    }


def _process(process: Process, hostname: str) -> dict[str, Any]:
    user = process.user
    capable = list(_CAPABILITIES)
    # A user other than root keeps them in the bounding set alone, as with Docker.
    held = capable if user.uid == 0 else []
    return {
        "terminal": False,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": list(process.argv),
        "env": [f"{name}={text}" for name, text in _variables(process, hostname).items()],
        "cwd": process.folder,
        "capabilities": {"bounding": capable, "effective": held, "permitted": held},
    }


def _variables(process: Process, hostname: str) -> dict[str, str]:
    return {"HOSTNAME": hostname, **process.environment}


def _mount(destination: str, kind: str, source: str, options: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": kind,
        "source": source,
        "options": options.split(","),
    }


def _namespaces(rules: Rules) -> tuple[str, ...]:
    own = ("pid", "network", "ipc", "uts", "mount")
    return (*own, "cgroup") if rules.unified else own


def _resources(target: Target, rules: Rules) -> dict[str, Any]:
    """No swap on top of its memory, as a VM has none, where the host can say so."""
    memory: dict[str, int] = {"limit": target.memory_bytes}
    if rules.limit_swap:
        memory["swap"] = target.memory_bytes
    return {
        "memory": memory,
        "cpu": {"quota": target.cpus * _CPU_PERIOD_US, "period": _CPU_PERIOD_US},
        "devices": [{"allow": False, "access": "rwm"}],
    }
